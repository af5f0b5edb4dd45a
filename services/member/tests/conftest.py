"""The member service for tests: its real parts, on a database of the test's own."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import nats as nats_client
import pytest
from chassis.database import async_url
from chassis.embedded import NatsServer
from chassis.testing import Databases, Keys
from chassis.testing.serving import Serving, serving
from chassis.work import Work
from member.__main__ import PROCESS
from member.wire import FACTS
from sqlalchemy.ext.asyncio import create_async_engine

from services.member.tests.billing import Billing
from services.member.tests.calls import SCOPES, Stubs
from services.member.tests.factories import RECORDED_AT


@pytest.fixture
def settings() -> Mapping[str, Any]:
    """Settings of the service that a test asks for by parametrizing them."""
    return {}


@pytest.fixture
async def served(
    database: Databases, nats: NatsServer, keys: Keys, settings: Mapping[str, Any]
) -> AsyncIterator[Serving]:
    """Member with its own database and broker, serving gRPC and listening to events.

    The clock's timed work rests unless a test asks for it: tests live in a time of their own, long past by the clock,
    and a round among their calls would end what they have only begun.
    """
    resting = {"timed_work": False}
    async with serving(PROCESS, await database(PROCESS), nats, keys, **{**resting, **settings}) as running:
        yield running


@pytest.fixture
async def work(database: Databases) -> AsyncIterator[Work]:
    """Transactions on a fresh database, without a process around them."""
    engine = create_async_engine(async_url((await database(PROCESS)).url))
    yield Work(engine, FACTS, now=lambda: RECORDED_AT)
    await engine.dispose()


@pytest.fixture
def boss(served: Serving) -> Stubs:
    """A caller who may do everything."""
    return Stubs.of(served.channel(*SCOPES))


@pytest.fixture
async def billing(nats: NatsServer) -> AsyncIterator[Billing]:
    """Billing on the broker of the service that is served."""
    client = await nats_client.connect(nats.url)
    yield Billing(client)
    await client.close()
