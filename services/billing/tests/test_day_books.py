"""Days close in whatever order things came, and a day's files leave no document out."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from billing.domain.ids import AccountId
from billing.domain.movement import Debit, Moved, Movement, MovementKind
from billing.store.day_books import next_portion
from billing.store.export import rows_of_portion, rows_without_entries
from billing.store.snapshot import find_closed_day
from billing.use_cases.bill import CreditBill, issue_credit_note
from billing.use_cases.movement import apply_movements
from billing.wire import FACTS
from chassis.database import async_url
from chassis.ids import new_id
from chassis.testing import Database
from chassis.work import Transaction, Work
from sqlalchemy.ext.asyncio import create_async_engine

from services.billing.tests.charging import Charging, accepted, committing, reserving
from services.billing.tests.factories import ACCOUNT, CALENDAR, PLAN, Billing, a_plan, charge, cny, opening, recharge
from services.billing.tests.test_statements import DAY, START, close

TODAY = START.date()
HOUR = timedelta(hours=1)


class Clock:
    """The time at which things are recorded."""

    now = START + 12 * HOUR


@pytest.fixture
async def timed(fresh: Database) -> AsyncIterator[Work]:
    """Transactions that are recorded when the clock says."""
    engine = create_async_engine(async_url(fresh.url))
    yield Work(engine, FACTS, now=lambda: Clock.now)
    await engine.dispose()


async def test_a_day_closes_though_more_was_freed_on_it_than_was_held(work: Work) -> None:
    billing = Billing(work)
    charging = Charging(billing)
    await billing.open(opening())
    await billing.move(replace(recharge(100_00), occurred_at=START))
    accepted((await charging.reserve(reserving(at=START + DAY + HOUR)))[0])
    # The system that rated the call dates its end by a clock of its own, on the day before.
    accepted((await charging.commit(committing(at=START + DAY - HOUR)))[0])

    (first,) = await close(work, START + DAY)
    (second,) = await close(work, START + 2 * DAY)

    assert (first.balances.minor_units, second.balances.minor_units) == (90_00, 90_00)
    assert (first.held.minor_units, second.held.minor_units) == (-10_00, 0)
    assert await billing.proof() == []


async def exported(work: Work, day: date = TODAY, accounts: int = 1) -> list[int]:
    """The numbers of the bills in a day's files, read by portions of so many accounts."""
    async with work.reading() as connection:
        closed = await find_closed_day(connection, day)
        assert closed is not None
        bills = (await rows_without_entries(connection, *closed.span)).bills
        portion = await next_portion(connection, closed, None, accounts=accounts)
        while portion is not None:
            bills += (await rows_of_portion(connection, portion)).bills
            portion = await next_portion(connection, closed, portion.last, accounts=accounts)
    return sorted(int(str(bill[1])) for bill in bills)


async def test_a_bill_of_who_pays_for_others_is_in_the_files_once(work: Work) -> None:
    billing, parent = Billing(work), AccountId("zz-parent")
    await billing.put_plan(a_plan())
    await billing.open(opening(plan_id=PLAN), opening(parent, plan_id=PLAN))
    await billing.move(recharge(100_00), recharge(100_00, parent))
    shared = Movement(new_id(), ACCOUNT, MovementKind.CHARGE, Debit(cny(160_00), (parent,)), "TV", Clock.now)

    async def act(transaction: Transaction) -> Moved:
        (moved,) = await apply_movements(transaction, [shared], CALENDAR)
        return accepted(moved)

    assert len((await work.run(act)).bills) == 2
    await close(work, START + DAY)

    assert await exported(work) == await exported(work, accounts=100) == [1, 2]


async def test_a_document_of_a_day_that_is_closed_is_in_the_files_of_the_next(timed: Work) -> None:
    billing = Billing(timed)
    Clock.now = START + 12 * HOUR
    await billing.put_plan(a_plan())
    await billing.open(opening(plan_id=PLAN))
    await billing.move(replace(recharge(100_00), occurred_at=START))
    bill = accepted((await billing.move(charge(60_00, at=START + HOUR)))[0]).bill
    assert bill is not None

    async def note(at: datetime) -> None:
        wanted = CreditBill(bill_id=bill.bill_id, amount=cny(1_00), reason="late", occurred_at=at)
        await timed.run(lambda transaction: issue_credit_note(transaction, wanted, calendar=CALENDAR))

    await note(START + 2 * HOUR)
    for day in (1, 2):
        Clock.now = START + day * DAY + HOUR
        await close(timed, START + day * DAY)
        Clock.now += HOUR
        await note(START + 3 * HOUR)
        await billing.move(replace(recharge(1), occurred_at=START + day * DAY))
    Clock.now = START + 3 * DAY + HOUR
    await close(timed, START + 3 * DAY)

    assert [await exported(timed, TODAY + day * DAY) for day in range(3)] == [[1, 2], [3], [4]]
