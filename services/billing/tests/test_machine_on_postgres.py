"""The accounts machine through the use cases on PostgreSQL, and what the tables must say after all games."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, TypeVar

import pytest
from billing.__main__ import PROCESS
from billing.domain.account import OpenAccount
from billing.domain.callback import Callback
from billing.domain.charge import RefundCharge
from billing.domain.credit_limit import SetCreditLimit
from billing.domain.gift import GrantGift, RevokeGift
from billing.domain.ids import (
    AccountId,
    BillId,
    ChargeId,
    CustomerId,
    OrderId,
    PlanId,
    ProductId,
    SubscriptionId,
    TransactionId,
)
from billing.domain.movement import GiftTerms
from billing.domain.order import Basket, OrderItem, PlaceOrder
from billing.domain.payer import Payer, PutPayers
from billing.domain.payment import PAYABLE_FOR, Payment, PaymentOrigin, Report, ReportType
from billing.domain.price import Price
from billing.domain.product import Cadence, CycleUnit, Product, ProductKind
from billing.domain.reservation import Commit, Release, ReservationId, Reserve
from billing.domain.reversal import ReverseRecharge
from billing.domain.subscription import CancelSubscription
from billing.domain.wish import Charge, Recharge
from billing.use_cases.account import open_accounts
from billing.use_cases.bill import CreditBill, PayBill, issue_credit_note, pay_bills
from billing.use_cases.callback import receive_callback
from billing.use_cases.catalog import put_price, put_product
from billing.use_cases.credit_limit import set_credit_limits
from billing.use_cases.due_bills import issue_due_bills
from billing.use_cases.expiry import expire_gifts
from billing.use_cases.gift import grant_gifts, revoke_gift
from billing.use_cases.order import place_order
from billing.use_cases.payer import put_payers
from billing.use_cases.payment import CancelPayment, CreatePayment, cancel_payment, create_payment
from billing.use_cases.payment_round import begin_round
from billing.use_cases.plan import SetAccountPlan, put_bill_plan, set_account_plans
from billing.use_cases.proof import prove
from billing.use_cases.quote import Sale
from billing.use_cases.refund_charge import refund_charges
from billing.use_cases.reservation import commit_reservations, release_reservation, reserve
from billing.use_cases.reversal import reverse_recharge
from billing.use_cases.subscription import cancel_subscription
from billing.use_cases.wish import charge_accounts, move_balances
from billing.wire import FACTS
from chassis.database import async_url
from chassis.embedded.databases import Database
from chassis.errors import Refusal
from chassis.money import Money
from chassis.testing import Databases
from chassis.testing.games import games
from chassis.work import Transaction, Work
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import CursorResult, TextClause, text
from sqlalchemy.ext.asyncio import create_async_engine

from services.billing.tests.factories import CALENDAR, OCCURRED_AT, RECORDED_AT, cny
from services.billing.tests.machine import day
from services.billing.tests.model import OWN, PARENT, Asked, Look
from services.billing.tests.ordering import PRICES
from services.billing.tests.papers import HOUR
from services.billing.tests.paying import PLANS, PaymentsMachine

SALE = Sale(CALENDAR, 1)
T = TypeVar("T")
LOOK = text("""
SELECT own.balance, own.held, payer.balance AS payers_balance, payer.held AS payers_held,
       a.crossed_version IS NOT NULL AS below, documents.*
FROM accounts a JOIN ledger_accounts own ON own.id = 'balance:' || a.account_id
JOIN ledger_accounts payer ON payer.id = 'balance:' || :parent
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE b.kind = 'original') AS originals,
           count(*) FILTER (WHERE b.kind = 'supplement') AS supplements,
           count(*) FILTER (WHERE b.kind = 'credit_note') AS notes,
           coalesce(array_agg(b.kind ORDER BY b.bill_number) FILTER (WHERE o.open), '{}') AS kinds,
           coalesce(array_agg(b.amount_minor - o.credited ORDER BY b.bill_number) FILTER (WHERE o.open), '{}') AS asked
    FROM bills b LEFT JOIN bill_payments p USING (bill_id) LEFT JOIN bill_closures c USING (bill_id)
    CROSS JOIN LATERAL (
        SELECT b.kind <> 'credit_note' AND p.bill_id IS NULL AND c.bill_id IS NULL AS open,
               coalesce(sum(n.amount_minor), 0)::bigint AS credited
        FROM bills n WHERE n.corrects_bill_id = b.bill_id AND n.kind = 'credit_note'
    ) AS o
    WHERE b.account_id = :own
) AS documents
WHERE a.account_id = :own
""")
DOCUMENT = text("SELECT bill_id FROM bills WHERE account_id = :own ORDER BY bill_number OFFSET :number LIMIT 1")
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
        self.now = day(0)
        for plan in PLANS:
            self.act(partial(put_bill_plan, wanted=plan))
        for price_minor in PRICES:
            self.act(partial(put_product, wanted=a_product(price_minor)))
            self.act(partial(put_price, wanted=a_price(price_minor)))

    def act(self, act: Callable[[Transaction], Awaitable[T]]) -> T:
        """An act in the transaction of the game; one that raises leaves nothing."""

        async def attempt() -> T:
            async with self.connection.begin_nested():
                return await act(Transaction(self.connection, self.now, FACTS))

        return self.runner.run(attempt())

    def read(self, statement: TextClause, names: Mapping[str, object]) -> CursorResult[Any]:
        """What a statement finds, in the transaction of the game."""
        return self.runner.run(self.connection.execute(statement, names))

    def end(self) -> None:
        """Keeps a game."""
        self.runner.run(self.connection.commit())

    def close(self) -> None:
        self.runner.run(self.connection.close())
        self.runner.run(self.engine.dispose())
        self.runner.close()


def a_product(price_minor: int) -> Product:
    """A product of its own for each price."""
    return Product(
        product_id=ProductId(f"tv-{price_minor}"),
        display_name="TV",
        display_name_zh="",
        family="tv",
        kind=ProductKind.RECURRING,
        cadence=Cadence(1, CycleUnit.MONTH),
        unit="",
        refundable=True,
        retired=False,
    )


def a_price(price_minor: int) -> Price:
    """It is sold from the first day on."""
    return Price(
        product_id=ProductId(f"tv-{price_minor}"), currency="CNY", effective_from=day(0), amount_minor=price_minor
    )


class UseCasesMachine(PaymentsMachine):
    """Every game plays with two accounts of its own, on what all games share."""

    games: ClassVar[Games]

    def __init__(self) -> None:
        super().__init__()
        self.games.played += 1
        self.game = f"g{self.games.played}"
        self.ids: dict[str, str] = {}
        self.payments: dict[str, Payment] = {}
        wanted = [self.opening(OWN, PlanId("basic")), self.opening(PARENT, None)]
        self.act_now(lambda t: open_accounts(t, wanted))

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

    def act_now(self, act: Callable[[Transaction], Awaitable[T]]) -> T:
        """An act, recorded on the day of the game: rounds look at what was recorded as well."""
        self.games.now = day(self.now)
        return self.games.act(act)

    def done(self, act: Callable[[Transaction], Awaitable[Any]]) -> Any:
        """What became of a wish; of a list of one, its outcome."""
        try:
            outcome = self.act_now(act)
        except Refusal as refusal:
            return refusal
        return outcome[0] if isinstance(outcome, list) else outcome

    def answer(self, outcome: Any) -> str | None:
        return type(outcome).__name__ if isinstance(outcome, Refusal) else None

    def look(self) -> Look:
        names = {"own": self.account(OWN), "parent": self.account(PARENT)}
        found = self.games.read(LOOK, names).one()
        return Look(
            (found.balance, found.held),
            (found.payers_balance, found.payers_held),
            found.below,
            [Asked(*each) for each in zip(found.kinds, found.asked, strict=True)],
            (found.originals, found.supplements, found.notes),
        )

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
        self.act_now(lambda t: put_payers(t, wish))

    def do_expire(self, on: int) -> None:
        while self.act_now(lambda t: expire_gifts(t, day(on), calendar=CALENDAR)).accounts:
            """Round after round, as the timed job does. Games that are over may be settled further by it."""

    def do_order(self, name: str, price_minor: int, *, on: int) -> str | None:
        subscription_id = SubscriptionId(f"{self.game}-{name}")
        item = OrderItem(a_product(price_minor).product_id, 1, subscription_id)
        basket = Basket(account_id=self.account(OWN), customer_id=None, items=(item,), at=day(on))
        wish = PlaceOrder(order_id=OrderId(f"{self.game}-{name}"), basket=basket, expected_total=None)
        return self.answer(self.done(lambda t: place_order(t, wish, SALE)))

    def do_cancel(self, name: str, of: str, *, on: int) -> str | None:
        wish = CancelSubscription(
            subscription_id=SubscriptionId(f"{self.game}-{of}"),
            customer_id=None,
            at_cycle_end=False,
            reason="",
            occurred_at=day(on),
        )
        return self.answer(self.done(lambda t: cancel_subscription(t, wish, SALE)))

    def do_set_plan(self, plan: str, *, on: int) -> None:
        plan_id = PlanId(plan) if plan else None
        wish = SetAccountPlan(account_id=self.account(OWN), plan_id=plan_id, occurred_at=day(on))
        assert not isinstance(self.done(lambda t: set_account_plans(t, [wish], calendar=CALENDAR)), Refusal)

    def bill_id(self, number: int) -> BillId:
        """A document of the account, in the order of the book."""
        asked = {"own": self.account(OWN), "number": number}
        return BillId(self.games.read(DOCUMENT, asked).scalar_one_or_none() or "nothing")

    def do_pay(self, name: str, number: int, *, on: int) -> str | None:
        wish = PayBill(bill_id=self.bill_id(number), customer_id=None, channel="app", occurred_at=day(on))
        outcome = self.done(lambda t: pay_bills(t, [wish], calendar=CALENDAR))
        self.ids[name] = getattr(outcome, "transaction_id", "")
        return self.answer(outcome)

    def do_note(self, number: int, amount: int | None, *, on: int) -> str | None:
        asked = None if amount is None else cny(amount)
        wish = CreditBill(bill_id=self.bill_id(number), amount=asked, reason="ours", occurred_at=day(on))
        return self.answer(self.done(lambda t: issue_credit_note(t, wish, calendar=CALENDAR)))

    def do_bill_due(self, on: int) -> None:
        self.act_now(lambda t: issue_due_bills(t, day(on), CALENDAR))

    def do_send(self, name: str, number: int | None, amount: int, *, on: int) -> str | None:
        wish = CreatePayment(
            account_id=self.account(OWN),
            customer_id=None,
            amount=cny(amount) if number is None else None,
            channel="sandbox",
            redirects=True,
            bill_id=None if number is None else self.bill_id(number),
            token_id=None,
            return_url="",
            origin=PaymentOrigin.CUSTOMER,
            occurred_at=day(on),
            counted_for=PAYABLE_FOR,  # the model counts what can still be paid
        )
        outcome = self.done(lambda t: create_payment(t, wish))
        if not isinstance(outcome, Refusal):
            self.payments[name] = outcome
        return self.answer(outcome)

    def do_hear(self, name: str, of: str, kind: str, reference: str, *, on: int) -> None:
        report = self.report(of, ReportType(f"payment.{kind}"), self.payments[of].amount, on)
        self.receive(name, replace(report, reference=f"{self.game}-{of}-{reference}"))

    def do_charge_back(self, name: str, of: str, amount: int, *, on: int) -> None:
        report = self.report(of, ReportType.CHARGEBACK, cny(amount), on)
        self.receive(name, replace(report, sequence=self.named))

    def report(self, of: str, kind: ReportType, amount: Money, on: int) -> Report:
        return Report(
            type=kind,
            payment_id=self.payments[of].payment_id,
            channel="sandbox",
            reference=f"{self.game}-{of}-first",
            amount=amount,
            sequence=1,
            occurred_at=day(on),
        )

    def receive(self, name: str, report: Report) -> None:
        """A call-back; under one name it is the same one, that came again."""
        callback = Callback(webhook_id=f"{name}-{report.reference}", body_sha256="0" * 64, report=report)
        self.act_now(lambda t: receive_callback(t, callback, CALENDAR))

    def do_give_up(self, of: str, *, on: int) -> str | None:
        wish = CancelPayment(payment_id=self.payments[of].payment_id, customer_id=None, occurred_at=day(on))
        return self.answer(self.done(lambda t: cancel_payment(t, wish)))

    def do_end_late(self, on: int) -> None:
        while self.act_now(lambda t: begin_round(t, day(on) + HOUR)).more:
            """Round after round; payments of games that are over are done with by it as well."""

    def id_of(self, name: str) -> TransactionId:
        return TransactionId(self.ids.get(name, "nothing"))

    def reservation(self, name: str) -> ReservationId:
        return ReservationId(f"{self.game}-{name}")

    def teardown(self) -> None:
        """Kept, so that everything is proven at the end of all games. What would wait for rounds is brought to its end,
        or those of later games would do it."""
        self.now += 1000
        self.do_recharge("the end", OWN, 1000, on=self.now)
        self.do_end_late(self.now)
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
