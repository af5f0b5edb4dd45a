"""Spend that tiers are judged by is net of what was given back, in whatever order payments and refunds are heard of."""

import asyncio
import runpy
from collections.abc import Awaitable, Callable
from datetime import datetime
from itertools import permutations
from typing import Any

import pytest
from chassis.calendar import Period
from chassis.database import async_url
from chassis.migrations import migrations_folder
from chassis.testing import Databases
from chassis.work import Work
from member.__main__ import PROCESS
from member.domain.customer import CustomerId
from member.domain.kinds import PointsKind
from member.domain.program import GENERAL, Moves, Program, Tier, TierId
from member.domain.requirement import Requirement, Spend, SpendKind, Window
from member.store import members, programs, tiers
from member.use_cases.tiers import Evaluation
from member.wire import FACTS
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from services.member.tests.customers import merge, merging
from services.member.tests.earning import refund
from services.member.tests.factories import (
    JANUARY,
    RECORDED_AT,
    STANDARD,
    day,
    enrolled,
    program,
    reward,
    rewarded,
    rows,
    scalar,
)
from services.member.tests.steps import evaluate, prove, put_program
from services.member.tests.test_tiers import tier_of

MONTH = Window(days=30)
EVER = Window()
MIGRATION = migrations_folder("member") / "versions" / "0014_spend_net_of_refunds.py"
REFUNDS_SO_FAR = runpy.run_path(str(MIGRATION))["_REFUNDS_SO_FAR"]


def asking(requirement: Requirement) -> Program:
    """The ready-made program with one tier above the first, which is taken at once."""
    silver = Tier(TierId("silver"), "Silver", 1, 0, 120, requirement)
    return program("general", tiers=(STANDARD, silver), moves=Moves(upgrades_at_once=True))


async def spent(work: Work, on: int, window: Window = EVER, customer_id: str = "c-1", **kinds: Any) -> Any:
    """What counts as spent on a day in a window."""
    measure = Spend(1, window, **kinds).measure
    async with work.reading() as connection:
        ready = await programs.find_program(connection, GENERAL)
        (member,) = await members.find_members_of(connection, [CustomerId(customer_id)])
        assert ready is not None
        return (await tiers.measure_member(connection, ready, [measure], member, day(on)))[measure]


async def pay(
    work: Work, source: str, amount_minor: int, *, on: int, customer_id: str = "c-1", kind: str = "earn_order"
) -> None:
    """A payment heard of."""
    payment = reward(amount_minor, at=day(on), customer_id=customer_id, source=source, kind=PointsKind(kind))
    await rewarded(work, payment)


async def history(work: Work) -> list[tuple[str, datetime]]:
    """The tiers held, and from when."""
    return [(tier, since) for tier, since in await rows(work, "SELECT tier_id, held_from FROM tier_history ORDER BY 2")]


async def test_a_tier_reached_by_an_order_that_is_cancelled_is_lost_at_the_next_evaluation(work: Work) -> None:
    await put_program(work, asking(Spend(100_00, MONTH, (SpendKind.ORDER,))))
    await enrolled(work, "c-1")
    await pay(work, "o-1", 100_00, on=1)
    assert await tier_of(work) == ("silver", day(1))
    await refund(work, "o-1", 100_00, on=2)
    assert await tier_of(work) == ("silver", day(1))
    assert await evaluate(work, 3) == Evaluation(1, 0, 1)
    assert await history(work) == [("standard", JANUARY), ("silver", day(1)), ("standard", day(3))]
    await pay(work, "o-2", 99_99, on=4)
    assert (await tier_of(work))[0] == "standard"
    await prove(work)


@pytest.mark.parametrize("order", list(permutations(["pay", "first", "second", "again"])))
async def test_parts_given_back_count_once_whatever_is_heard_of_first(work: Work, order: tuple[str, ...]) -> None:
    await enrolled(work, "c-1")
    acts: dict[str, Callable[[], Awaitable[object]]] = {
        "pay": lambda: pay(work, "o-1", 100_00, on=1),
        "first": lambda: refund(work, "o-1", 30_00, on=2, refund_id="r-1"),
        "second": lambda: refund(work, "o-1", 70_00, on=4, refund_id="r-2"),
        "again": lambda: refund(work, "o-1", 30_00, on=2, refund_id="r-1"),
    }
    for each in order:
        await acts[each]()
    assert [await spent(work, on) for on in (0, 1, 2, 3, 4, 40)] == [0, 100_00, 70_00, 70_00, 0, 0]


async def test_more_than_was_paid_is_never_given_back(work: Work) -> None:
    await enrolled(work, "c-1")
    await pay(work, "o-1", 100_00, on=1)
    await pay(work, "o-2", 50_00, on=1)
    for number in range(3):
        await refund(work, "o-1", 40_00, on=2, refund_id=f"r-{number}")
    assert await spent(work, 3) == 50_00


async def test_what_is_given_back_after_its_window_lowers_nothing_that_came_later(work: Work) -> None:
    await enrolled(work, "c-1")
    await pay(work, "o-1", 100_00, on=1)
    await pay(work, "o-2", 60_00, on=40)
    await refund(work, "o-1", 100_00, on=45)
    assert await spent(work, 20, MONTH) == 100_00
    assert await spent(work, 45, MONTH) == 60_00
    assert await spent(work, 45, Window(period=Period.MONTH)) == 60_00
    assert await spent(work, 45) == 60_00


async def test_recharges_and_orders_are_lowered_each_for_itself(work: Work) -> None:
    await enrolled(work, "c-1")
    await pay(work, "r-1", 100_00, on=1, kind="earn_recharge")
    await pay(work, "o-1", 100_00, on=1)
    await refund(work, "r-1", 10_00, on=2)
    await refund(work, "o-1", 20_00, on=2)
    assert await spent(work, 2, kinds=(SpendKind.RECHARGE,)) == 90_00
    assert await spent(work, 2, kinds=(SpendKind.ORDER,)) == 80_00


async def test_what_is_given_back_to_who_was_merged_away_lowers_what_went_over(work: Work) -> None:
    """Before the first merge, between two, and after both; a refund that is told again changes nothing."""
    await enrolled(work, "c-1", "c-2", "c-3")
    await pay(work, "o-1", 100_00, on=1, customer_id="c-3")
    await refund(work, "o-1", 10_00, on=2, refund_id="r-1")
    await merge(work, merging("c-2", "c-3", on=3, p_1="p-3"))
    await refund(work, "o-1", 20_00, on=4, refund_id="r-2")
    assert await spent(work, 4, customer_id="c-2") == 70_00
    await merge(work, merging("c-1", "c-2", on=5, p_1="p-2", p_3="p-3"))
    await refund(work, "o-1", 30_00, on=6, refund_id="r-3")
    for number, part in ((1, 10_00), (2, 20_00), (3, 30_00)):
        await refund(work, "o-1", part, on=6, refund_id=f"r-{number}")
    assert [await spent(work, on) for on in (1, 2, 4, 6)] == [100_00, 90_00, 70_00, 40_00]
    await pay(work, "o-2", 5_00, on=7, customer_id="c-3")
    await refund(work, "o-2", 2_00, on=8)
    assert await spent(work, 8) == 43_00
    left = "SELECT sum(amount_minor)::bigint FROM tier_spend GROUP BY customer_id ORDER BY customer_id"
    assert await rows(work, left) == [(43_00,), (40_00,), (40_00,)]


async def test_payments_and_refunds_while_customers_merge_all_count(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    sources = [f"o-{number}" for number in range(12)]
    for source in sources[:4]:
        await pay(work, source, 100_00, on=1, customer_id="c-2")
    await asyncio.gather(
        *(pay(work, source, 100_00, on=1, customer_id="c-2") for source in sources[4:]),
        merge(work, merging(on=2, p_1="p-2")),
        *(refund(work, source, 40_00, on=2) for source in sources),
    )
    assert await spent(work, 3) == 12 * 60_00


async def test_payments_and_their_refunds_at_once_leave_nothing(work: Work) -> None:
    await enrolled(work, "c-1")
    sources = [f"o-{number}" for number in range(10)]
    await asyncio.gather(
        *(pay(work, source, 100_00, on=1) for source in sources),
        *(refund(work, source, 100_00, on=2) for source in sources),
    )
    assert await spent(work, 2) == 0
    assert await scalar(work, "SELECT count(*) FROM tier_spend") == 20


async def test_what_was_given_back_before_the_tables_knew_is_taken_off_as_if_it_came_now(database: Databases) -> None:
    """The migration's own statement, against what the same refunds wrote one by one, for a chain of customers too."""
    fresh = await database(PROCESS)
    engine = create_async_engine(async_url(fresh.url))
    work = Work(engine, FACTS, now=lambda: RECORDED_AT)
    await enrolled(work, "c-1", "c-2")
    await pay(work, "o-1", 100_00, on=1)
    await pay(work, "o-2", 100_00, on=1, customer_id="c-2")
    await merge(work, merging(on=2, p_1="p-2"))
    for source, parts in (("o-1", (30_00,)), ("o-2", (30_00, 20_00)), ("o-9", (5_00,))):
        for number, part in enumerate(parts):
            await refund(work, source, part, on=3, refund_id=f"{source}/{number}")
    kept = "SELECT * FROM tier_spend ORDER BY source"
    expected = await rows(work, kept)
    owner = create_async_engine(async_url(fresh.owner_url))
    async with owner.begin() as connection:
        await connection.execute(text("ALTER TABLE tier_spend DISABLE TRIGGER USER"))
        await connection.execute(text("DELETE FROM tier_spend WHERE refund_of IS NOT NULL"))
        await connection.execute(text(REFUNDS_SO_FAR))
    assert len(expected) == 3 + 5
    assert await rows(work, kept) == expected
    for each in (owner, engine):
        await each.dispose()
