"""Billing for tests: its real parts on a database of the test's own."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from billing.__main__ import PROCESS
from billing.wire import FACTS
from chassis.database import async_url
from chassis.embedded import NatsServer
from chassis.testing import Database, Databases, Keys
from chassis.testing.serving import DATED_LONG_AGO, Serving, serving
from chassis.work import Work
from sqlalchemy.ext.asyncio import create_async_engine

from services.billing.tests.factories import RECORDED_AT
from services.billing.tests.payments import Paying, providing, write_channels


@pytest.fixture
async def fresh(database: Databases) -> Database:
    """A database as billing's migrations leave it."""
    return await database(PROCESS)


@pytest.fixture
async def work(fresh: Database) -> AsyncIterator[Work]:
    """Transactions with the service's login, without a process around them."""
    engine = create_async_engine(async_url(fresh.url))
    yield Work(engine, FACTS, now=lambda: RECORDED_AT)
    await engine.dispose()


@pytest.fixture
def settings() -> Mapping[str, Any]:
    """Settings of the service that a test asks for by parametrizing them."""
    return {}


@pytest.fixture
async def served(fresh: Database, nats: NatsServer, keys: Keys, settings: Mapping[str, Any]) -> AsyncIterator[Serving]:
    """Billing, serving gRPC; what the calendar asks for is done by the test's own calls alone."""
    values: dict[str, Any] = {"timed_work": False, **settings}
    async with serving(PROCESS, fresh, nats, keys, **values) as running:
        yield running


@pytest.fixture
async def paying(
    fresh: Database, nats: NatsServer, keys: Keys, tmp_path: Path, settings: Mapping[str, Any]
) -> AsyncIterator[Paying]:
    """Billing with a payment provider; what the calendar asks for is done by the test's own calls alone."""
    async with providing() as provider:
        channels: dict[str, Any] = {
            "payment_channels_file": write_channels(tmp_path, provider),
            "payment_channel_seconds": 1.0,
        }
        values = {"timed_work": False, **channels, **DATED_LONG_AGO, **settings}
        async with serving(PROCESS, fresh, nats, keys, **values) as served:
            yield await Paying.begun(served, provider)
