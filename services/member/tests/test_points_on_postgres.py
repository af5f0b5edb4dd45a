"""The points machine through the use cases on PostgreSQL, and what the books must say after all games."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, ClassVar, TypeVar
from zoneinfo import ZoneInfo

import pytest
from chassis.calendar import Calendar
from chassis.database import async_url
from chassis.embedded.databases import Database
from chassis.errors import Refusal
from chassis.testing import Databases
from chassis.testing.games import games
from chassis.work import Transaction, Work
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from member.__main__ import PROCESS
from member.domain.customer import CustomerId, PersonId
from member.domain.membership import Holder, Standing
from member.domain.points import HoldEnd, PointsBalance
from member.domain.program import GENERAL
from member.domain.spending import PointsRules, Purpose, ReversalShortfall
from member.store import points
from member.use_cases import earning, points_rules, pools, reversing, spending, transfers
from member.use_cases.customers import UpsertCustomer, upsert_customers
from member.use_cases.memberships import EnrolCustomer, enrol_customers
from member.wire import FACTS
from sqlalchemy.ext.asyncio import create_async_engine

from services.member.tests.factories import JANUARY, RECORDED_AT, customer, person
from services.member.tests.history import Seen, check_history
from services.member.tests.points_machine import MOST_OWED, PERSONS, REGRANT, Answer, PointsMachine, day
from services.member.tests.steps import prove

T = TypeVar("T")
# As the connections of a service.
SESSION = {"enable_seqscan": "off"}
CALENDAR = Calendar(ZoneInfo("UTC"))
RULES = PointsRules(
    GENERAL,
    JANUARY,
    ReversalShortfall.ONLY_WHAT_IS_LEFT,
    most_owed=MOST_OWED,
    regrant_days=REGRANT.days,
    most_transferred_a_day=10**9,
    cash_rate=None,
)


class Games:
    """What all games of a test share: a database, a loop, a connection, and what every answer said.

    A game is one transaction, as a long batch is, kept when it is over: what an act costs is its own statements.
    """

    def __init__(self, database: Database) -> None:
        self.runner = asyncio.Runner()
        # A game has more different statements than are kept prepared by default.
        url = f"{async_url(database.url)}?prepared_statement_cache_size=1000"
        self.engine = create_async_engine(url, connect_args={"server_settings": SESSION})
        self.work = Work(self.engine, FACTS, now=lambda: RECORDED_AT)
        self.connection = self.runner.run(self.engine.connect().start())
        self.seen: list[Seen] = []
        self.played = 0
        self.act(lambda t: points_rules.put_rules(t, points_rules.PutPointsRules(RULES, "boss")))

    def act(self, act: Callable[[Transaction], Awaitable[T]]) -> T:
        return self.runner.run(_awaited(act(Transaction(self.connection, RECORDED_AT, FACTS))))

    def act_or_leave_nothing(self, act: Callable[[Transaction], Awaitable[T]]) -> T | Refusal:
        """An act that raises its refusal, whatever it did until then taken back."""

        async def attempt(transaction: Transaction) -> T | Refusal:
            try:
                async with self.connection.begin_nested():
                    return await act(transaction)
            except Refusal as refusal:
                return refusal

        return self.act(attempt)

    def end(self, *, kept: bool) -> None:
        """Ends the transaction of a game."""
        self.runner.run(self.connection.commit() if kept else self.connection.rollback())

    def close(self) -> None:
        self.runner.run(self.connection.close())
        self.runner.run(self.engine.dispose())
        self.runner.close()


async def _awaited(act: Awaitable[T]) -> T:
    return await act


class UseCasesMachine(PointsMachine):
    """Every game plays with a household of its own, on what all games share."""

    games: ClassVar[Games]

    def __init__(self) -> None:
        super().__init__()
        self.games.played += 1
        self.game = f"g{self.games.played}"
        self.customer_id = CustomerId(self.game)
        self.members = {each.member.holder.person_id: each.member.member_id for each in self.games.act(self.enrol)}
        self.persons = {member_id: person_id for person_id, member_id in self.members.items()}

    def holder(self, who: str) -> Holder:
        return Holder(self.customer_id, GENERAL, PersonId(who))

    async def enrol(self, transaction: Transaction) -> list[Standing]:
        household = customer(self.game, persons=tuple(person(who) for who in PERSONS if who))
        await upsert_customers(transaction, [UpsertCustomer(household)])
        enrolled = await enrol_customers(transaction, [EnrolCustomer(self.holder(who), JANUARY) for who in PERSONS])
        return [each for each in enrolled if isinstance(each, Standing)]

    def answer(self, outcome: Any, *balances: PointsBalance) -> Answer:
        if isinstance(outcome, Refusal):
            return type(outcome).__name__
        for each in balances:
            account = f"points:{each.member_id}"
            self.games.seen.append(Seen(account, each.account_version, each.balance, each.held))
        return {self.persons[each.member_id]: (each.balance, each.held) for each in balances}

    def one(self, use_case: Callable[[Transaction, Sequence[Any]], Awaitable[Sequence[Any]]], command: Any) -> Any:
        (outcome,) = self.games.act(lambda transaction: use_case(transaction, [command]))
        return outcome

    def booked(self, outcome: Any) -> Answer:
        return self.answer(outcome) if isinstance(outcome, Refusal) else self.answer(outcome, outcome.balance)

    def spent(self, outcome: Any) -> Answer:
        if isinstance(outcome, Refusal):
            return self.answer(outcome)
        return self.answer(outcome, *(payment.balance for payment in outcome.payments))

    def do_earn(self, name: str, who: str, points: int, *, on: int, expires: int) -> Answer:
        command = earning.AwardPoints(
            f"{self.game}-{name}", self.holder(who), points, "survey", day(on), expires_at=day(expires)
        )
        return self.booked(self.one(earning.award_points, command))

    def do_redeem(self, name: str, who: str, points: int, *, on: int) -> Answer:
        command = spending.SpendPoints(f"{self.game}-{name}", self.holder(who), points, "", day(on), Purpose.GIFT)
        return self.spent(self.one(spending.spend_many, command))

    def do_pay_together(self, name: str, points: int, *, on: int) -> Answer:
        command = spending.SpendPoints(
            f"{self.game}-{name}", self.holder(""), points, "", day(on), Purpose.GIFT, from_pool=True
        )
        return self.spent(self.one(spending.spend_many, command))

    def do_put_pool(self, persons: tuple[str, ...]) -> None:
        command = pools.PutPool(self.customer_id, GENERAL, tuple(map(PersonId, persons)), put_by="boss")
        self.games.act(lambda transaction: pools.put_pool(transaction, command))

    def do_transfer(self, name: str, giver: str, receiver: str, points: int, *, on: int) -> Answer:
        command = transfers.TransferPoints(
            f"{self.game}-{name}",
            self.customer_id,
            GENERAL,
            PersonId(giver),
            PersonId(receiver),
            points,
            reason="",
            occurred_at=day(on),
        )
        done = self.games.act_or_leave_nothing(lambda t: transfers.transfer_points(t, command, calendar=CALENDAR))
        return self.answer(done) if isinstance(done, Refusal) else self.answer(done, done.giver, done.receiver)

    def do_hold(self, name: str, who: str, points: int, *, on: int, expires: int) -> Answer:
        command = spending.HoldPoints(
            f"{self.game}-{name}",
            self.holder(who),
            points,
            "cup",
            day(on),
            expires_at=day(expires),
            longest=timedelta.max,
        )
        return self.booked(self.one(spending.hold_many, command))

    def do_confirm(self, name: str, of: str, points: int | None, *, on: int) -> Answer:
        end = HoldEnd(f"{self.game}-{name}", f"{self.game}-{of}", day(on))
        return self.booked(self.one(spending.confirm_many, spending.ConfirmHold(self.customer_id, end, points)))

    def do_release(self, name: str, of: str, *, on: int) -> Answer:
        end = HoldEnd(f"{self.game}-{name}", f"{self.game}-{of}", day(on))
        return self.booked(self.one(spending.release_many, spending.ReleaseHold(self.customer_id, end)))

    def do_reverse(self, name: str, of: str, points: int | None, policy: ReversalShortfall, *, on: int) -> Answer:
        command = reversing.ReversePoints(
            f"{self.game}-{name}", self.customer_id, f"{self.game}-{of}", points, "returned", day(on), policy
        )
        outcome = self.one(reversing.reverse_many, command)
        if isinstance(outcome, Refusal):
            return self.answer(outcome)
        return self.answer(outcome, *(each.balance for each in outcome.undone))

    def do_expire(self, on: int) -> None:
        while self.games.act(lambda transaction: spending.expire_points(transaction, day(on))).accounts:
            """Round after round, as the timed job does. Games that are over may be settled further by it."""

    def looked_at(self) -> range:
        return range(self.now - 4, self.now + 21, 12)

    def balance_at(self, who: str, number: int) -> tuple[int, int]:
        member_id = self.members[PersonId(who)]
        found = self.games.act(lambda t: points.balance_at(t.connection, member_id, day(number)))
        return found.balance, found.held

    def teardown(self) -> None:
        """Kept, so that everything is proven at the end of all games."""
        kept = False
        try:
            super().teardown()
            kept = True
        finally:
            self.games.end(kept=kept)


async def play(databases: Databases, played: settings) -> None:
    """So many games, then everything that the books must say."""
    table = await asyncio.to_thread(Games, await databases(PROCESS))
    machine = type("Machine", (UseCasesMachine,), {"games": table})
    try:
        await asyncio.to_thread(run_state_machine_as_test, machine, settings=played)
        await asyncio.to_thread(table.runner.run, prove(table.work))
        replayed = await asyncio.to_thread(table.runner.run, check_history(table.work, table.seen))
        assert replayed > played.max_examples
    finally:
        await asyncio.to_thread(table.close)


async def test_the_use_cases_agree_with_the_model(database: Databases) -> None:
    await play(database, games(100, acts=50, begun_by=1))


@pytest.mark.soak
async def test_the_use_cases_agree_with_the_model_for_long(database: Databases) -> None:
    await play(database, games(2000, acts=50, begun_by=1))
