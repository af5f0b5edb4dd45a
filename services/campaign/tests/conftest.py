"""The campaign service for tests: its real parts, on a database of the test's own."""

from collections.abc import AsyncIterator

import pytest
from campaign.__main__ import PROCESS
from campaign.wire import FACTS
from chassis.database import async_url
from chassis.embedded import NatsServer
from chassis.testing import Database, Databases, Keys
from chassis.testing.serving import Serving, serving
from chassis.work import Work
from sqlalchemy.ext.asyncio import create_async_engine

from services.campaign.tests.factories import RECORDED_AT


@pytest.fixture
async def campaign_database(database: Databases) -> Database:
    """A database of the campaign service for one test."""
    return await database(PROCESS)


@pytest.fixture
async def served(campaign_database: Database, nats: NatsServer, keys: Keys) -> AsyncIterator[Serving]:
    """The service with its own database and broker, serving gRPC and listening to events."""
    async with serving(PROCESS, campaign_database, nats, keys) as running:
        yield running


@pytest.fixture
async def work(campaign_database: Database) -> AsyncIterator[Work]:
    """Transactions on a fresh database, without a process around them."""
    engine = create_async_engine(async_url(campaign_database.url))
    yield Work(engine, FACTS, now=lambda: RECORDED_AT)
    await engine.dispose()
