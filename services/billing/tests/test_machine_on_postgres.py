"""The accounts machine through the use cases on PostgreSQL, and what the tables must say after all games."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, TypeVar

import pytest
from billing.__main__ import PROCESS
from billing.domain.account import OpenAccount
from billing.domain.charge import RefundCharge
from billing.domain.credit_limit import SetCreditLimit
from billing.domain.gift import GrantGift, RevokeGift
from billing.domain.ids import AccountId, ChargeId, CustomerId, PlanId, TransactionId
from billing.domain.movement import GiftTerms
from billing.domain.payer import Payer, PutPayers
from billing.domain.reservation import Commit, Release, ReservationId, Reserve
from billing.domain.reversal import ReverseRecharge
from billing.domain.wish import Charge, Recharge
from billing.use_cases.account import open_accounts
from billing.use_cases.credit_limit import set_credit_limits
from billing.use_cases.expiry import expire_gifts
from billing.use_cases.gift import grant_gifts, revoke_gift
from billing.use_cases.payer import put_payers
from billing.use_cases.plan import put_bill_plan
from billing.use_cases.proof import prove
from billing.use_cases.refund_charge import refund_charges
from billing.use_cases.reservation import commit_reservations, release_reservation, reserve
from billing.use_cases.reversal import reverse_recharge
from billing.use_cases.wish import charge_accounts, move_balances
from billing.wire import FACTS
from chassis.database import async_url
from chassis.embedded.databases import Database
from chassis.errors import Refusal
from chassis.testing import Databases
from chassis.testing.games import games
from chassis.work import Transaction, Work
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from services.billing.tests.factories import CALENDAR, OCCURRED_AT, PLAN, RECORDED_AT, a_plan, cny
from services.billing.tests.machine import day
from services.billing.tests.model import OWN, PARENT, THRESHOLD, Look
from services.billing.tests.ordering import OrdersMachine

T = TypeVar("T")
# One original bill for each stay: nothing is on its way in these games.
LOOK = text("""
SELECT own.balance, own.held, payer.balance AS payers_balance, payer.held AS payers_held,
       a.crossed_version IS NOT NULL AS below,
       (SELECT count(*) FROM bills b WHERE b.account_id = :own AND b.kind = 'original') AS bills
FROM accounts a JOIN ledger_accounts own ON own.id = 'balance:' || a.account_id
JOIN ledger_accounts payer ON payer.id = 'balance:' || :parent
WHERE a.account_id = :own
""")
# As the connections of a service.
SESSION = {"enable_seqscan": "off"}


class Games:
    """What all games of a test share: a database, a loop, a connection.

    A game is one transaction, kept when it is over: what an act costs is its own statements.
    """

    def __init__(self, database: Database) -> None:
        self.runner = asyncio.Runner()
        url = f"{async_url(database.url)}?prepared_statement_cache_size=1000"
        self.engine = create_async_engine(url, connect_args={"server_settings": SESSION})
        self.work = Work(self.engine, FACTS, now=lambda: RECORDED_AT)
        self.connection = self.runner.run(self.engine.connect().start())
        self.played = 0
        self.act(lambda t: put_bill_plan(t, a_plan(THRESHOLD, 2 * THRESHOLD)))

    def act(self, act: Callable[[Transaction], Awaitable[T]]) -> T:
        """An act in the transaction of the game; one that raises leaves nothing."""

        async def attempt() -> T:
            async with self.connection.begin_nested():
                return await act(Transaction(self.connection, RECORDED_AT, FACTS))

        return self.runner.run(attempt())

    def end(self) -> None:
        """Keeps a game."""
        self.runner.run(self.connection.commit())

    def close(self) -> None:
        self.runner.run(self.connection.close())
        self.runner.run(self.engine.dispose())
        self.runner.close()


class UseCasesMachine(OrdersMachine):
    """Every game plays with two accounts of its own, on what all games share."""

    games: ClassVar[Games]

    def __init__(self) -> None:
        super().__init__()
        self.games.played += 1
        self.game = f"g{self.games.played}"
        self.ids: dict[str, str] = {}
        wanted = [self.opening(OWN, PLAN), self.opening(PARENT, None)]
        self.games.act(lambda t: open_accounts(t, wanted))

    def opening(self, who: str, plan_id: PlanId | None) -> OpenAccount:
        return OpenAccount(
            account_id=self.account(who),
            customer_id=CustomerId(self.game),
            currency="CNY",
            plan_id=plan_id,
            occurred_at=OCCURRED_AT,
        )

    def account(self, who: str) -> AccountId:
        return AccountId(f"{self.game}-{who}")

    def done(self, act: Callable[[Transaction], Awaitable[Any]]) -> Any:
        """What became of a wish; of a list of one, its outcome."""
        try:
            outcome = self.games.act(act)
        except Refusal as refusal:
            return refusal
        return outcome[0] if isinstance(outcome, list) else outcome

    def answer(self, outcome: Any) -> str | None:
        return type(outcome).__name__ if isinstance(outcome, Refusal) else None

    def look(self) -> Look:
        names = {"own": self.account(OWN), "parent": self.account(PARENT)}

        async def look(transaction: Transaction) -> Look:
            found = (await transaction.connection.execute(LOOK, names)).one()
            return Look(
                (found.balance, found.held), (found.payers_balance, found.payers_held), found.below, found.bills
            )

        return self.games.act(look)

    def do_recharge(self, name: str, who: str, amount: int, *, on: int) -> str | None:
        wish = Recharge(
            account_id=self.account(who), customer_id=None, amount=cny(amount), channel="app", occurred_at=day(on)
        )
        outcome = self.done(lambda t: move_balances(t, [wish], calendar=CALENDAR))
        self.ids[name] = getattr(outcome, "transaction_id", "")
        return self.answer(outcome)

    def do_gift(self, name: str, amount: int, *, on: int, expires: int, priority: int) -> str | None:
        wish = GrantGift(
            account_id=self.account(OWN),
            amount=cny(amount),
            terms=GiftTerms(day(expires), priority),
            reason="welcome",
            occurred_at=day(on),
        )
        outcome = self.done(lambda t: grant_gifts(t, [wish], calendar=CALENDAR))
        self.ids[name] = outcome.gift.gift_id
        return self.answer(outcome)

    def do_revoke(self, name: str, of: str, *, on: int) -> str | None:
        wish = RevokeGift(gift_id=self.id_of(of), reason="typed twice", occurred_at=day(on))
        return self.answer(self.done(lambda t: revoke_gift(t, wish, calendar=CALENDAR)))

    def do_charge(self, name: str, who: str, amount: int, *, on: int) -> str | None:
        wish = Charge(account_id=self.account(who), amount=cny(amount), description="TV", occurred_at=day(on))
        outcome = self.done(lambda t: charge_accounts(t, [wish], calendar=CALENDAR))
        if not isinstance(outcome, Refusal):
            self.ids[name] = outcome.movement.identity
        return self.answer(outcome)

    def do_refund(self, name: str, of: str, amount: int | None, *, on: int) -> str | None:
        asked = None if amount is None else cny(amount)
        wish = RefundCharge(
            charge_id=ChargeId(self.ids.get(of, "nothing")), amount=asked, reason="returned", occurred_at=day(on)
        )
        return self.answer(self.done(lambda t: refund_charges(t, [wish], CALENDAR)))

    def do_reserve(self, name: str, amount: int, least: int, *, on: int, expires: int) -> str | None:
        wish = Reserve(
            reservation_id=self.reservation(name),
            account_id=self.account(OWN),
            amount=cny(amount),
            minimum=cny(least),
            expires_at=day(expires),
            description="film",
            occurred_at=day(on),
        )
        return self.answer(self.done(lambda t: reserve(t, [wish], CALENDAR)))

    def do_commit(self, name: str, of: str, used: int, *, on: int) -> str | None:
        wish = Commit(reservation_id=self.reservation(of), used=cny(used), occurred_at=day(on))
        return self.answer(self.done(lambda t: commit_reservations(t, [wish], CALENDAR)))

    def do_release(self, name: str, of: str, *, on: int) -> str | None:
        wish = Release(reservation_id=self.reservation(of), occurred_at=day(on))
        return self.answer(self.done(lambda t: release_reservation(t, wish, CALENDAR)))

    def do_set_limit(self, name: str, who: str, limit: int, *, on: int) -> str | None:
        wish = SetCreditLimit(
            account_id=self.account(who), credit_limit=cny(limit), reason="asked", occurred_at=day(on)
        )
        return self.answer(self.done(lambda t: set_credit_limits(t, [wish], calendar=CALENDAR)))

    def do_reverse(self, name: str, of: str, amount: int | None, *, owe: bool, on: int) -> str | None:
        wish = ReverseRecharge(
            transaction_id=self.id_of(of),
            amount=None if amount is None else cny(amount),
            reason="typed twice",
            owe=owe,
            occurred_at=day(on),
        )
        return self.answer(self.done(lambda t: reverse_recharge(t, wish, calendar=CALENDAR)))

    def do_put_payers(self, payers: tuple[str, ...], *, on: int) -> None:
        named = tuple(Payer(self.account(who)) for who in payers)
        wish = PutPayers(account_id=self.account(OWN), payers=named, occurred_at=day(on))
        self.games.act(lambda t: put_payers(t, wish))

    def do_expire(self, on: int) -> None:
        while self.games.act(lambda t: expire_gifts(t, day(on), calendar=CALENDAR)).accounts:
            """Round after round, as the timed job does. Games that are over may be settled further by it."""

    def id_of(self, name: str) -> TransactionId:
        return TransactionId(self.ids.get(name, "nothing"))

    def reservation(self, name: str) -> ReservationId:
        return ReservationId(f"{self.game}-{name}")

    def teardown(self) -> None:
        """Kept, so that everything is proven at the end of all games."""
        self.games.end()


async def play(databases: Databases, played: settings) -> None:
    """So many games, then everything that the tables must say."""
    table = await asyncio.to_thread(Games, await databases(PROCESS))
    machine = type("Machine", (UseCasesMachine,), {"games": table})

    async def broken() -> list[str]:
        async with table.work.reading() as connection:
            return [f"{check.claim}: {check.offenders}" for check in await prove(connection) if not check.holds]

    try:
        await asyncio.to_thread(run_state_machine_as_test, machine, settings=played)
        assert await asyncio.to_thread(table.runner.run, broken()) == []
        assert table.played >= played.max_examples
    finally:
        await asyncio.to_thread(table.close)


async def test_the_use_cases_agree_with_the_model(database: Databases) -> None:
    await play(database, games(100, acts=50))


@pytest.mark.soak
async def test_the_use_cases_agree_with_the_model_for_long(database: Databases) -> None:
    await play(database, games(2000, acts=50))
