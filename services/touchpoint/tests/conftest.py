"""The touchpoint process for tests: its real parts, on a database of the test's own."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from chassis.database import async_url
from chassis.embedded import NatsServer
from chassis.testing import Database, Databases, Keys
from chassis.testing.serving import Serving, serving
from chassis.work import Work
from sqlalchemy.ext.asyncio import create_async_engine
from touchpoint.__main__ import PROCESS
from touchpoint.wire import FACTS

from services.touchpoint.tests.factories import RECORDED_AT


@pytest.fixture
async def fresh(database: Databases) -> Database:
    """A database as the migrations leave it."""
    return await database(PROCESS)


@pytest.fixture
async def work(fresh: Database) -> AsyncIterator[Work]:
    """Transactions with the service's login, without a process around them."""
    engine = create_async_engine(async_url(fresh.url), pool_size=20, max_overflow=0)
    yield Work(engine, FACTS, now=lambda: RECORDED_AT)
    await engine.dispose()


@pytest.fixture
def settings() -> Mapping[str, Any]:
    """Settings of the service that a test asks for by parametrizing them."""
    return {}


@pytest.fixture
async def served(fresh: Database, nats: NatsServer, keys: Keys, settings: Mapping[str, Any]) -> AsyncIterator[Serving]:
    """Touchpoint, serving gRPC and listening to events; its webhooks may go to this machine and hurry."""
    async with serving(
        PROCESS,
        fresh,
        nats,
        keys,
        allow_private_webhooks=True,
        delivery_schedule_seconds=(0.0, 0.05, 0.05),
        delivery_timeout_seconds=0.5,
        delivery_poll_seconds=0.02,
        **settings,
    ) as running:
        yield running
