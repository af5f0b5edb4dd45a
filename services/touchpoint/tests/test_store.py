"""The database's own guards, and the queue of deliveries under several claimers."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from chassis.database import async_url
from chassis.testing import Database
from chassis.work import Work
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from touchpoint.domain.delivery import Answer, Delivery, DeliveryState, RetrySchedule, answer_of
from touchpoint.domain.identity import DeliveryId, EndpointId, PartnerId, TouchpointCode
from touchpoint.store import deliveries
from touchpoint.store.tables import APPEND_ONLY, METADATA
from touchpoint.use_cases.contacts import present_offers
from touchpoint.use_cases.deliveries import (
    CreateEndpoint,
    LeasedDelivery,
    LeaseDeliveries,
    RecordAttempt,
    create_endpoint,
    lease_deliveries,
    record_attempt,
    replay_delivery,
    set_endpoint_disabled,
)
from touchpoint.use_cases.dispatch import DispatchOffers, dispatch_offers
from touchpoint.use_cases.opportunities import record_opportunities
from touchpoint.wire import FACTS

from services.touchpoint.tests.factories import RECORDED_AT, SMS, T0, a_visit, an_opportunity

SCHEDULE = RetrySchedule((0.0, 60.0, 600.0))
REFUSED = answer_of(500, 3)
TAKEN = answer_of(204, 3)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = RECORDED_AT

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def work(fresh: Database, clock: Clock) -> object:
    engine = create_async_engine(async_url(fresh.url), pool_size=20, max_overflow=0)
    yield Work(engine, FACTS, now=clock)
    await engine.dispose()


async def queue(work: Work, count: int, partner: str = "partner") -> EndpointId:
    """An endpoint with this many deliveries in its queue; endpoints made later get them too."""
    command = CreateEndpoint(PartnerId(partner), f"https://{partner}.example/", (SMS,))
    created = await work.run(lambda transaction: create_endpoint(transaction, command))
    waiting = [an_opportunity(f"{partner}-{number}", touchpoints=(SMS,)) for number in range(count)]
    await work.run(lambda transaction: record_opportunities(transaction, waiting))
    await work.run(lambda transaction: dispatch_offers(transaction, DispatchOffers(SMS, T0, 10_000)))
    return created.endpoint.endpoint_id


async def lease(work: Work, owner: str = "one", limit: int = 100, slots: int = 4) -> Sequence[LeasedDelivery]:
    command = LeaseDeliveries(owner, timedelta(seconds=60), limit, slots)
    return await work.run(lambda transaction: lease_deliveries(transaction, command))


async def attempt(work: Work, delivery_id: DeliveryId, answer: Answer, owner: str = "one") -> Delivery | None:
    command = RecordAttempt(delivery_id, owner, answer, SCHEDULE, 0.0)
    return await work.run(lambda transaction: record_attempt(transaction, command))


async def rows(work: Work, query: str) -> list[tuple[object, ...]]:
    async with work.reading() as connection:
        return [tuple(row) for row in await connection.execute(text(query))]


async def test_the_migrations_make_the_tables_that_the_store_declares(fresh: Database) -> None:
    engine = create_async_engine(async_url(fresh.owner_url))
    async with engine.connect() as connection:
        columns = "SELECT table_name, column_name, is_nullable FROM information_schema.columns"
        found = await connection.execute(text(f"{columns} WHERE table_schema = 'public'"))
        stored = {(table, column, nullable == "YES") for table, column, nullable in found}
        indexes = set((await connection.execute(text("SELECT indexname FROM pg_indexes"))).scalars())
    await engine.dispose()
    declared = {(t.name, c.name, bool(c.nullable)) for t in METADATA.sorted_tables for c in t.columns}
    assert {row for row in stored if row[0] != "alembic_version"} == declared
    assert {str(index.name) for table in METADATA.sorted_tables for index in table.indexes} <= indexes


@pytest.mark.parametrize("table", APPEND_ONLY)
async def test_what_happened_can_be_neither_changed_nor_deleted(fresh: Database, table: str) -> None:
    for url in (fresh.url, fresh.owner_url):
        engine = create_async_engine(async_url(url))
        for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET recorded_at = recorded_at"):
            async with engine.connect() as connection:
                with pytest.raises(DBAPIError) as refused:
                    await connection.execute(text(statement))
            assert getattr(refused.value.orig, "sqlstate", "") == "42501"
        await engine.dispose()


async def test_a_second_contact_of_an_opportunity_is_refused_by_the_table(work: Work) -> None:
    await work.run(lambda transaction: record_opportunities(transaction, [an_opportunity()]))
    await work.run(lambda transaction: present_offers(transaction, [a_visit()]))
    again = text(
        "INSERT INTO contacts SELECT contact_id || '2', opportunity_id, customer_id, campaign_id, touchpoint,"
        " delivery_way, occurred_at, recorded_at FROM contacts"
    )
    with pytest.raises(DBAPIError) as refused:
        await work.run(lambda transaction: transaction.connection.execute(again))
    assert getattr(refused.value.orig, "sqlstate", "") == "23505"


async def test_several_claimers_share_a_queue_and_pass_no_endpoints_slots(work: Work) -> None:
    for partner in ("one", "two", "three"):
        await queue(work, 7, partner)
    claimed = await asyncio.gather(*(lease(work, f"owner-{number}") for number in range(12)))
    taken = [one for some in claimed for one in some]
    assert len({one.delivery.delivery_id for one in taken}) == len(taken)
    assert Counter(one.delivery.endpoint_id for one in taken) == dict.fromkeys(
        {one.delivery.endpoint_id for one in taken}, 4
    )
    assert len(taken) == 12


async def test_a_claim_takes_no_more_than_its_limit_and_the_longest_due_first(work: Work, clock: Clock) -> None:
    await queue(work, 3)
    clock.pass_(5)
    await queue(work, 3, "later")
    assert {one.contact.customer_id for one in await lease(work, limit=3, slots=10)} == {
        "partner-0",
        "partner-1",
        "partner-2",
    }


async def test_a_slot_is_free_again_when_its_attempt_is_recorded(work: Work) -> None:
    await queue(work, 6)
    first = await lease(work)
    assert (len(first), len(await lease(work))) == (4, 0)
    await attempt(work, first[0].delivery.delivery_id, TAKEN)
    assert len(await lease(work)) == 1


async def test_a_lease_that_ran_out_is_taken_over_and_its_first_owner_records_nothing(work: Work, clock: Clock) -> None:
    await queue(work, 1)
    (first,) = await lease(work, "lost")
    clock.pass_(61)
    (second,) = await lease(work, "other")
    delivery_id = first.delivery.delivery_id
    assert second.delivery.delivery_id == delivery_id
    assert await attempt(work, delivery_id, TAKEN, "lost") is None
    finished = await attempt(work, delivery_id, TAKEN, "other")
    assert finished is not None
    assert (finished.state, finished.attempts) == (DeliveryState.DELIVERED, 1)
    assert await attempt(work, delivery_id, TAKEN, "other") is None
    assert await rows(work, "SELECT count(*) FROM delivery_attempts") == [(1,)]


async def test_a_delivery_waits_out_its_schedule_and_is_given_up_in_the_end(work: Work, clock: Clock) -> None:
    await queue(work, 1)
    (leased,) = await lease(work)
    delivery_id = leased.delivery.delivery_id
    for wait in (60, 600):
        pending = await attempt(work, delivery_id, REFUSED)
        assert pending is not None
        assert (pending.state, pending.last_status, pending.last_error) == (DeliveryState.PENDING, 500, "status 500")
        clock.pass_(wait - 1)
        assert not await lease(work)
        clock.pass_(1)
        assert len(await lease(work)) == 1
    given_up = await attempt(work, delivery_id, Answer(0, "no answer within 10 s", 10_000))
    assert given_up is not None
    assert (given_up.state, given_up.attempts, given_up.last_status) == (DeliveryState.EXHAUSTED, 3, 0)
    clock.pass_(10**6)
    assert not await lease(work)
    told = "SELECT attempt, status, error FROM delivery_attempts ORDER BY attempt"
    assert await rows(work, told) == [(1, 500, "status 500"), (2, 500, "status 500"), (3, 0, "no answer within 10 s")]
    completed = "SELECT count(*) FROM outbox WHERE event_type = 'touchstone.touchpoint.v1.DeliveryCompleted'"
    assert await rows(work, completed) == [(1,)]


async def test_a_replay_gives_a_whole_new_schedule_and_keeps_the_attempts(work: Work, clock: Clock) -> None:
    await queue(work, 1)
    for _ in range(3):
        (leased,) = await lease(work)
        await attempt(work, leased.delivery.delivery_id, REFUSED)
        clock.pass_(600)
    delivery_id = leased.delivery.delivery_id
    replayed = await work.run(lambda transaction: replay_delivery(transaction, delivery_id))
    assert (replayed.state, replayed.attempts) == (DeliveryState.PENDING, 3)
    await lease(work)
    again = await attempt(work, delivery_id, REFUSED)
    assert again is not None
    assert (again.state, again.attempts) == (DeliveryState.PENDING, 4)
    clock.pass_(60)
    await lease(work)
    done = await attempt(work, delivery_id, TAKEN)
    assert done is not None
    assert (done.state, done.attempts, done.delivered_at) == (DeliveryState.DELIVERED, 5, clock.now)


async def test_a_disabled_endpoint_keeps_its_queue_and_a_new_delivery_joins_it(work: Work) -> None:
    endpoint_id = await queue(work, 2)
    await work.run(lambda transaction: set_endpoint_disabled(transaction, endpoint_id, disabled=True))
    opportunity = an_opportunity("late", touchpoints=(SMS,))
    await work.run(lambda transaction: record_opportunities(transaction, [opportunity]))
    await work.run(lambda transaction: dispatch_offers(transaction, DispatchOffers(SMS, T0, 10)))
    assert not await lease(work)
    await work.run(lambda transaction: set_endpoint_disabled(transaction, endpoint_id, disabled=False))
    assert len(await lease(work)) == 3


async def test_a_receiver_that_is_gone_switches_its_endpoint_off_and_keeps_its_queue(work: Work, clock: Clock) -> None:
    endpoint_id = await queue(work, 2)
    first, _ = await lease(work)
    pending = await attempt(work, first.delivery.delivery_id, answer_of(410, 1))
    assert pending is not None
    assert pending.state is DeliveryState.PENDING
    clock.pass_(10**6)
    assert not await lease(work)
    async with work.reading() as connection:
        (endpoint,) = await deliveries.list_endpoints(connection, None, size=10, after=None)
    assert (endpoint.endpoint_id, endpoint.disabled) == (endpoint_id, True)


async def test_a_signing_secret_is_long_and_shown_nowhere(work: Work) -> None:
    command = CreateEndpoint(PartnerId("partner"), "https://partner.example/", (TouchpointCode("TP16"),))
    created = [await work.run(lambda transaction: create_endpoint(transaction, command)) for _ in range(2)]
    assert created[0].secret != created[1].secret
    assert all(one.secret.startswith("whsec_") and len(one.secret) == 6 + 44 for one in created)
    assert created[0].secret not in repr(created)
