"""Statements: closed days never change, parts sum to the whole, and pages agree with everything read at once."""

import asyncio
import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from billing.domain.account import Account
from billing.domain.snapshot import Snapshot, next_day
from billing.domain.statement import Statement, checked_span, month_span
from billing.store.account import find_account
from billing.use_cases.snapshot import close_days
from billing.use_cases.statement import position_after, position_key, statement_of
from chassis.calendar import EARLIEST, Calendar, Span
from chassis.errors import InvalidArgument, Refusal
from chassis.paging import Page
from chassis.work import Transaction, Work

from services.billing.tests.factories import ACCOUNT, CALENDAR, Billing, charge, opening, recharge

DAY = timedelta(days=1)
START = datetime(2026, 3, 1, tzinfo=UTC)


class Booked(NamedTuple):
    """An entry as the plain model keeps it."""

    kind: str
    amount: int
    occurred_at: datetime
    stated_at: datetime | None = None


class Model:
    """All entries in the order of booking; closing a day states what is not stated yet and occurred by its end."""

    def __init__(self) -> None:
        self.entries: list[Booked] = []
        self.open_from = EARLIEST

    def book(self, kind: str, amount: int, at: datetime) -> None:
        self.entries.append(Booked(kind, amount, at))

    def close(self, end: datetime) -> None:
        self.entries = [
            each._replace(stated_at=max(each.occurred_at, self.open_from))
            if each.stated_at is None and each.occurred_at < end
            else each
            for each in self.entries
        ]
        self.open_from = end

    def stated(self) -> list[tuple[datetime, int, Booked]]:
        found = [
            (each.stated_at or max(each.occurred_at, self.open_from), version, each)
            for version, each in enumerate(self.entries, 1)
        ]
        return sorted(found, key=lambda one: one[:2])


async def close(work: Work, as_of: datetime, calendar: Calendar = CALENDAR, *, accounts: int = 2) -> list[Snapshot]:
    """Closes all days that have ended."""
    found: list[Snapshot] = []
    more = True

    async def act(transaction: Transaction) -> bool:
        done = await close_days(transaction, as_of, calendar, accounts=accounts)
        found.extend(done.snapshots)
        return done.more

    while more:
        more = await work.run(act)
    return found


async def statement(work: Work, span: Span, *, page: int = 500) -> Statement:
    """The whole statement, read by pages."""
    async with work.reading() as connection:
        account = await find_account(connection, ACCOUNT)
        assert isinstance(account, Account)
        whole = await statement_of(connection, account, span, after=None, limit=page)
        entries, token = list(whole.entries), ""
        while len(entries) % page == 0 and entries and position_key(entries[-1]) != token:
            token = position_key(entries[-1])
            after = position_after(Page(page, token))
            entries += (await statement_of(connection, account, span, after=after, limit=page)).entries
    return replace(whole, entries=tuple(entries))


@pytest.mark.parametrize("seed", range(4))
async def test_statements_agree_with_a_plain_list_of_entries_whatever_came_late(work: Work, seed: int) -> None:
    drawn, model, billing = random.Random(seed), Model(), Billing(work)
    await billing.open(opening(), opening("acc-2"), opening("acc-3"))
    await billing.move(replace(recharge(10_000_00), occurred_at=START - 40 * DAY))
    model.book("recharge", 10_000_00, START - 40 * DAY)
    today = START
    for _ in range(12):
        for _ in range(drawn.randint(0, 6)):
            at = today + timedelta(minutes=drawn.randint(-3 * 1440, 1440 + 600))
            amount = drawn.randint(1, 500)
            if drawn.random() < 0.3:
                await billing.move(replace(recharge(amount), occurred_at=at))
                model.book("recharge", amount, at)
            else:
                await billing.move(charge(amount, at=at))
                model.book("charge", -amount, at)
        today += DAY
        if drawn.random() < 0.6:
            await close(work, today)
            model.close(today)
        start = START + timedelta(minutes=drawn.randint(-45 * 1440, 10 * 1440))
        for span in (Span(start, start + drawn.randint(1, 20) * DAY), Span(START, START + 3 * DAY)):
            _agrees(await statement(work, span, page=drawn.choice((1, 3, 500))), model, span)
    assert await billing.proof() == []


def _agrees(found: Statement, model: Model, span: Span) -> None:
    stated = model.stated()
    before = sum(each.amount for at, _, each in stated if at < span.start)
    within = [(at, version, each) for at, version, each in stated if span.start <= at < span.end]
    assert found.opening.minor_units == before
    assert [(e.stated_at, e.account_version, e.amount.minor_units) for e in found.entries] == [
        (at, version, each.amount) for at, version, each in within
    ]
    assert [entry.late for entry in found.entries] == [at != each.occurred_at for at, _, each in within]
    sums = Counter[str]()
    for _, _, each in within:
        sums[each.kind] += each.amount
    assert {section.kind: section.amount_minor for section in found.sections} == dict(sums)
    assert found.count == len(within)
    assert found.closing.minor_units == before + sum(sums.values())
    balances = [entry.balance_after.minor_units for entry in found.entries]
    assert balances == [before + sum(e.amount for _, _, e in within[: n + 1]) for n in range(len(within))]
    assert found.closed == (span.end <= model.open_from)


async def test_a_closed_day_never_changes_and_what_comes_late_is_marked_on_the_next(work: Work) -> None:
    billing = Billing(work)
    await billing.open(opening())
    await billing.move(replace(recharge(100), occurred_at=START + timedelta(hours=1)))
    await close(work, START + DAY)
    first, second = Span(START, START + DAY), Span(START + DAY, START + 2 * DAY)
    before = await statement(work, first)
    await billing.move(charge(30, at=START + timedelta(hours=2)))
    assert await statement(work, first) == before
    (late,) = (await statement(work, second)).entries
    assert (late.late, late.stated_at, late.amount.minor_units) == (True, START + DAY, -30)
    await close(work, START + 2 * DAY)
    assert (await statement(work, second)).entries == (late,)
    assert (await statement(work, first)) == before


async def test_snapshots_of_a_day_are_taken_once_and_sum_up_the_accounts(work: Work) -> None:
    billing = Billing(work)
    await billing.open(*[opening(f"acc-{n}") for n in range(1, 6)], opening("usd", currency="USD"))
    for n in range(1, 6):
        await billing.move(replace(recharge(n * 100, f"acc-{n}"), occurred_at=START))
    taken = await close(work, START + DAY)
    assert [(s.balances.currency, s.accounts, s.balances.minor_units, s.entries) for s in taken] == [
        ("CNY", 5, 1500, 5),
        ("USD", 1, 0, 0),
    ]
    assert await close(work, START + DAY + timedelta(hours=3)) == []
    await billing.move(charge(50, at=START + DAY))
    following = await close(work, START + 3 * DAY)
    assert [(s.day, s.balances.minor_units) for s in following if s.balances.currency == "CNY"] == [
        (date(2026, 3, 2), 1450),
        (date(2026, 3, 3), 1450),
    ]
    assert await billing.proof() == []


async def test_two_closers_at_once_take_each_day_once(work: Work) -> None:
    billing = Billing(work)
    await billing.open(*[opening(f"acc-{n}") for n in range(1, 9)])
    await billing.move(*[replace(recharge(100, f"acc-{n}"), occurred_at=START) for n in range(1, 9)])
    taken = await asyncio.gather(*[close(work, START + DAY, accounts=1) for _ in range(4)])
    assert [s.balances.minor_units for found in taken for s in found] == [800]
    assert await billing.proof() == []


def test_days_follow_one_another_whatever_becomes_of_the_clock() -> None:
    berlin = Calendar(ZoneInfo("Europe/Berlin"))
    first = next_day(None, datetime(2026, 3, 29, 1, tzinfo=UTC), berlin)
    assert first is not None
    assert (first.day, first.span.end) == (date(2026, 3, 28), datetime(2026, 3, 28, 23, tzinfo=UTC))
    short = next_day(first, datetime(2026, 3, 29, 22, tzinfo=UTC), berlin)
    assert short is not None
    assert short.span == Span(datetime(2026, 3, 28, 23, tzinfo=UTC), datetime(2026, 3, 29, 22, tzinfo=UTC))
    assert next_day(first, datetime(2026, 3, 29, 21, 59, tzinfo=UTC), berlin) is None


@pytest.mark.parametrize("month", ["", "2026", "2026-13", "2026-1", "0000-01", "9999-12", "2026-01-01", "２０２６-01"])
def test_what_is_no_month_is_refused(month: str) -> None:
    with pytest.raises(InvalidArgument):
        month_span(CALENDAR, month)


def test_months_are_the_operators() -> None:
    span = month_span(Calendar(ZoneInfo("Asia/Shanghai")), "2024-02")
    assert span == Span(datetime(2024, 1, 31, 16, tzinfo=UTC), datetime(2024, 2, 29, 16, tzinfo=UTC))


@pytest.mark.parametrize(
    "token", ["x", "2026-01-01 1", "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00+00:00 0", " "]
)
def test_tokens_that_no_call_returned_are_refused(token: str) -> None:
    with pytest.raises(InvalidArgument):
        position_after(Page(50, token))


def test_spans_end_after_they_begin_and_within_a_year() -> None:
    for span in (Span(START, START), Span(START, START - DAY), Span(START, START + 367 * DAY)):
        with pytest.raises(Refusal):
            checked_span(*span)
    assert checked_span(START, START + 366 * DAY) == Span(START, START + 366 * DAY)
