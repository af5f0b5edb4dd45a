"""Races on transactions of their own: exactly the lawful number win, whoever comes first."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import pytest
from chassis.calendar import Calendar
from chassis.database import async_url
from chassis.errors import Refusal
from chassis.testing import Databases
from chassis.work import Transaction, Work
from member.__main__ import PROCESS
from member.domain.customer import CustomerId, PersonId
from member.domain.membership import Holder
from member.domain.points import HoldEnd
from member.domain.program import GENERAL
from member.use_cases import reversing, spending, transfers
from member.use_cases.customers import UpsertCustomer
from member.use_cases.memberships import EnrolCustomer, enrol_customers
from member.wire import FACTS
from sqlalchemy.ext.asyncio import create_async_engine

from services.member.tests.factories import (
    JANUARY,
    RECORDED_AT,
    award,
    awarded,
    customer,
    day,
    enrolled,
    scalar,
    told,
)
from services.member.tests.history import Seen, check_history
from services.member.tests.steps import C1, balance, hold, prove, put

T = TypeVar("T")
AT_ONCE = 16


@pytest.fixture
async def work(database: Databases) -> AsyncIterator[Work]:
    """As many connections as there are transactions at once."""
    engine = create_async_engine(async_url((await database(PROCESS)).url), pool_size=AT_ONCE, max_overflow=0)
    yield Work(engine, FACTS, now=lambda: RECORDED_AT)
    await engine.dispose()


async def race(work: Work, acts: Sequence[Callable[[Transaction], Awaitable[T]]]) -> list[T | Refusal]:
    """Each act in a transaction of its own, many at once; what each came to, or was refused with."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(act: Callable[[Transaction], Awaitable[T]]) -> T | Refusal:
        async with gate:
            try:
                return await work.run(act)
            except Refusal as refusal:
                return refusal

    return list(await asyncio.gather(*map(one, acts)))


def kinds(outcomes: Sequence[Any]) -> Counter[str]:
    return Counter(type(outcome).__name__ for outcome in outcomes)


def spend(name: str, points: int, *, on: int = 2, from_pool: bool = False) -> Callable[[Transaction], Any]:
    command = spending.SpendPoints(name, Holder(C1, GENERAL), points, "", day(on), from_pool=from_pool)
    return lambda transaction: spending.spend_points(transaction, command)


def reverse(name: str, of: str, points: int | None = None) -> Callable[[Transaction], Any]:
    command = reversing.ReversePoints(name, C1, of, points, "returned", day(3))
    return lambda transaction: reversing.reverse_points(transaction, command)


def confirm(name: str, of: str, *, on: int) -> Callable[[Transaction], Any]:
    command = spending.ConfirmHold(C1, HoldEnd(name, of, day(on)), None)
    return lambda transaction: spending.confirm_hold(transaction, command)


async def test_of_sixty_four_spends_as_many_win_as_the_balance_allows(work: Work) -> None:
    await enrolled(work, "c-1")
    await awarded(work, *(award(10, at=day(1), expires_at=day(30 + number)) for number in range(10)))
    outcomes = await race(work, [spend(f"s-{number}", 10) for number in range(64)])
    assert kinds(outcomes) == {"Spent": 10, "InsufficientBalance": 54}
    assert await balance(work) == (0, 0)
    seen = [
        Seen(f"points:{each.balance.member_id}", each.balance.account_version, each.balance.balance, each.balance.held)
        for each in outcomes
        if isinstance(each, spending.Spent)
    ]
    assert len({each.version for each in seen}) == 10
    await check_history(work, seen)
    await prove(work)


async def test_of_a_thousand_double_reversals_each_is_done_once(work: Work) -> None:
    await enrolled(work, "c-1")
    await awarded(work, award(1000, at=day(1)))
    commands = [spending.SpendPoints(f"s-{number}", Holder(C1, GENERAL), 1, "", day(2)) for number in range(1000)]
    await work.run(lambda transaction: spending.spend_many(transaction, commands))
    assert await balance(work) == (0, 0)
    twice = [reverse(f"r-{number}-{turn}", f"s-{number}") for number in range(1000) for turn in range(2)]
    outcomes = await race(work, twice)
    assert kinds(outcomes) == {"Reversed": 1000, "AlreadyReversed": 1000}
    for first, second in zip(outcomes[::2], outcomes[1::2], strict=True):
        assert {type(first).__name__, type(second).__name__} == {"Reversed", "AlreadyReversed"}
    assert (await balance(work), await told(work, "PointsReversed")) == ((1000, 0), 1000)
    await prove(work)


async def test_partial_reversals_at_once_do_not_pass_the_original(work: Work) -> None:
    await enrolled(work, "c-1")
    await awarded(work, award(100, at=day(1)))
    await work.run(spend("s", 100))
    outcomes = await race(work, [reverse(f"r-{number}", "s", 30) for number in range(20)])
    assert kinds(outcomes) == {"Reversed": 3, "ReversalExceedsOriginal": 17}
    assert await balance(work) == (90, 0)
    await prove(work)


async def test_a_hold_is_spent_or_expires_and_never_both(work: Work) -> None:
    """Ten holds of ten, each spent a moment before its end while the expiry of all of them is booked."""
    await enrolled(work, "c-1")
    await awarded(work, award(100, at=day(1), expires_at=day(5)))
    for number in range(10):
        await hold(work, 10, hold_id=f"h-{number}", expires_at=day(5))
    expiries = [lambda transaction: spending.expire_points(transaction, day(5))] * 10
    acts = [each for number in range(10) for each in (confirm(f"c-{number}", f"h-{number}", on=4), expiries[number])]
    outcomes = await race(work, acts)
    spent = kinds(outcomes)["Booked"]
    assert kinds(outcomes)["HoldExpired"] == 10 - spent
    ends = "SELECT count(*) FROM ledger_holds WHERE state = :state"
    assert await scalar(work, ends, state="captured") == spent == await told(work, "PointsRedeemed")
    assert await scalar(work, ends, state="expired") == 10 - spent
    assert await balance(work, on=6) == (0, 0)
    late = await race(work, [confirm(f"late-{number}", f"h-{number}", on=5) for number in range(10)])
    assert kinds(late) == +Counter({"HoldExpired": 10 - spent, "HoldEnded": spent})
    await prove(work)


async def test_transfers_of_one_day_at_once_keep_its_limit(work: Work) -> None:
    """Ready-made rules let 10,000 points go on a day."""
    await put(work, UpsertCustomer(customer()))
    wanted = [EnrolCustomer(Holder(C1, GENERAL, PersonId(who)), JANUARY) for who in ("", "p-1")]
    await work.run(lambda transaction: enrol_customers(transaction, wanted))
    await awarded(work, award(100_000, at=day(1)))
    commands = [
        transfers.TransferPoints(
            f"t-{number}", C1, GENERAL, PersonId(""), PersonId("p-1"), 3000, reason="", occurred_at=day(2)
        )
        for number in range(12)
    ]
    calendar = Calendar(ZoneInfo("UTC"))

    def act(command: transfers.TransferPoints) -> Callable[[Transaction], Any]:
        return lambda transaction: transfers.transfer_points(transaction, command, calendar=calendar)

    assert kinds(await race(work, [act(command) for command in commands])) == {
        "Transferred": 3,
        "TransferLimitReached": 9,
    }
    assert await balance(work) == (91_000, 0)
    await prove(work)


async def test_transfers_both_ways_do_not_lock_each_other_out(work: Work) -> None:
    await put(work, UpsertCustomer(customer()))
    wanted = [EnrolCustomer(Holder(C1, GENERAL, PersonId(who)), JANUARY) for who in ("", "p-1")]
    await work.run(lambda transaction: enrol_customers(transaction, wanted))
    await awarded(work, award(100, at=day(1)))
    await work.run(_transfer("first", "", "p-1", 50))
    acts = [_transfer(f"{way}-{n}", *(("", "p-1") if way else ("p-1", "")), 1) for n in range(20) for way in (0, 1)]
    assert kinds(await race(work, acts)) == {"Transferred": 40}
    assert await balance(work) == (50, 0)
    await prove(work)


def _transfer(name: str, giver: str, receiver: str, points: int) -> Callable[[Transaction], Any]:
    command = transfers.TransferPoints(
        name, CustomerId("c-1"), GENERAL, PersonId(giver), PersonId(receiver), points, reason="", occurred_at=day(2)
    )
    return lambda transaction: transfers.transfer_points(transaction, command, calendar=Calendar(ZoneInfo("UTC")))
