"""The accounts machine on the rules alone: movements as the ledger's commands, their steps to thresholds and bills."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import Any, ClassVar

from billing.domain.account import Account
from billing.domain.bill import Bill, BillKind, BillState, bill_not_found
from billing.domain.credit_limit import SetCreditLimit
from billing.domain.effects import Closed, Credited, Effect, Issued, Paid
from billing.domain.entry import NOWHERE, Entry, concerned, entry_of, stand_after, turn
from billing.domain.gift import GrantGift
from billing.domain.ids import AccountId, BillId, PlanId, ProductId, TransactionId
from billing.domain.movement import (
    Act,
    Billing,
    Booking,
    Capture,
    Debit,
    Free,
    GiftTerms,
    Movement,
    MovementKind,
    SetAside,
    Shortfall,
    Undo,
)
from billing.domain.payment import (
    Chargeback,
    Payment,
    PaymentEnded,
    PaymentId,
    PaymentOrigin,
    PaymentState,
    Report,
    ReportType,
    Verdict,
    judge,
)
from billing.domain.plan import plan_at
from billing.domain.price import Price
from billing.domain.product import Cadence, CycleUnit, Product, ProductKind
from billing.domain.proration import Cycle, first_cycle, split_after
from billing.domain.rating import rate_cycle
from billing.domain.settlement import Settlement, Tab
from billing.domain.threshold import CrossingCause, Step
from billing.domain.wish import Recharge, bill_payment, payment_in
from billing.store.posting import Limits, balance_of, command_of
from billing.use_cases.payment import new_payment
from chassis.errors import Refusal
from chassis.testing.games import games
from hypothesis.stateful import run_state_machine_as_test
from ledger import Asset, Source
from ledger.domain.account import Account as LedgerAccount
from ledger.domain.engine import EXPIRED, Books

from services.billing.tests.factories import CALENDAR, an_account, cny
from services.billing.tests.machine import day
from services.billing.tests.model import KINDS, OWN, PARENT, Asked, Look
from services.billing.tests.papers import HOUR, RARE
from services.billing.tests.paying import PLANS, PaymentsMachine

OWNED = AccountId(OWN)
THE_PLANS = {plan.plan_id: [plan] for plan in PLANS}
TV = Product(
    product_id=ProductId("tv"),
    display_name="TV",
    display_name_zh="",
    family="tv",
    kind=ProductKind.RECURRING,
    cadence=Cadence(1, CycleUnit.MONTH),
    unit="",
    refundable=True,
    retired=False,
)


def copy(books: Books) -> Books:
    """The books as they are: accounts are replaced, never changed."""
    return Books(
        books.system_accounts,
        books.accounts.copy(),
        books.sources.copy(),
        books.holds.copy(),
        books.originals.copy(),
        books.booked.copy(),
    )


class RulesMachine(PaymentsMachine):
    """Without a database."""

    seen: ClassVar[set[str]] = set()

    def __init__(self) -> None:
        super().__init__()
        names: dict[str, PlanId | None] = {OWN: PlanId("basic"), PARENT: None}
        balances = {
            balance_of(AccountId(who)): LedgerAccount(balance_of(AccountId(who)), Asset("CNY")) for who in names
        }
        self.books = Books(frozenset([*MovementKind, EXPIRED]), balances)
        self.accounts = {AccountId(who): an_account(who, plan_id=plan_id) for who, plan_id in names.items()}
        self.payers: tuple[AccountId, ...] = ()
        self.ids: dict[str, TransactionId] = {}
        self.bought: dict[str, tuple[int, Cycle]] = {}
        self.bills: dict[BillId, Bill] = {}
        self.bill_ids = (BillId(f"bill-{number}") for number in count())
        self.payments: dict[str, Payment] = {}

    @property
    def account(self) -> Account:
        return self.accounts[OWNED]

    @property
    def open(self) -> list[Bill]:
        return [bill for bill in self.bills.values() if bill.state is BillState.OPEN]

    def book(self, name: str, movement: Movement, *, or_nothing: bool = False) -> str | None:
        """Carries a movement out; with `or_nothing` one that moves nothing leaves no trace."""
        before = copy(self.books) if or_nothing else self.books
        (posted,) = self.books.decide([command_of(movement)])
        if isinstance(posted, Refusal):
            return type(posted).__name__
        if or_nothing and not posted.lines[0].amount:
            self.books = before
            return "GiftUsedUp"
        self.ids[name] = movement.transaction_id
        booking = Limits(self.accounts).booking_of(movement, posted)
        self.settle([self.entry(movement, booking)])
        stand_after(self.accounts, movement, booking, ())
        return None

    def entry(self, movement: Movement, booking: Booking) -> Entry:
        return entry_of(movement, booking, booking.stands.get(movement.account_id, NOWHERE), self.accounts)

    def settle(self, entries: Sequence[Entry]) -> None:
        turns = turn(self.accounts, THE_PLANS, entries)
        if concerned(self.accounts, entries, turns):
            tab = self.tab(entries[0].payment_id)
            for effects in self.settling(tab).settle(entries, turns):
                self.keep(tab, effects)

    def tab(self, coming_in: str | None = None) -> Tab:
        """What is asked of the account, and what is on its way to it beside a payment that comes in now."""
        issued = [bill.issued_at for bill in self.bills.values() if bill.kind is BillKind.ORIGINAL]
        asked = {bill.bill_id for bill in self.open}
        coming = [each for each in self.payments.values() if each.state.on_its_way and each.bill_id not in asked]
        pending_of = dict.fromkeys(asked, 0)
        for each in self.payments.values():
            if each.state.on_its_way and each.bill_id in asked and each.payment_id != coming_in:
                pending_of[each.bill_id] += each.amount.minor_units
        pending = sum(each.amount.minor_units for each in coming)
        tab = Tab(self.account, self.open, max(issued, default=None), pending)
        tab.pending_of = pending_of
        return tab

    def settling(self, tab: Tab) -> Settlement:
        return Settlement({OWNED: tab}, THE_PLANS, CALENDAR, lambda: next(self.bill_ids))

    def keep(self, tab: Tab, effects: Sequence[Effect]) -> None:
        self.accounts[OWNED] = tab.account
        for effect in effects:
            match effect:
                case Credited(note, bill):
                    self.bills[note.bill_id], self.bills[bill.bill_id] = note, bill
                case Issued(bill) | Paid(bill) | Closed(bill):
                    self.bills[bill.bill_id] = bill

    def moving(self, name: str, kind: MovementKind, act: Act, on: int, billing: Billing = Billing.PLAIN) -> Movement:
        return Movement(name, OWNED, kind, act, note="", occurred_at=day(on), billing=billing)

    def look(self) -> Look:
        own, parent = (self.books.accounts[balance_of(AccountId(who))] for who in (OWN, PARENT))
        kinds = [bill.kind.value for bill in self.bills.values()]
        originals, supplements, notes = map(kinds.count, KINDS)
        return Look(
            (own.balance, own.held),
            (parent.balance, parent.held),
            self.account.below_threshold,
            [Asked(bill.kind.value, bill.remaining.minor_units) for bill in self.open],
            (originals, supplements, notes),
        )

    def do_recharge(self, name: str, who: str, amount: int, *, on: int) -> str | None:
        wish = Recharge(
            account_id=AccountId(who), customer_id=None, amount=cny(amount), channel="app", occurred_at=day(on)
        )
        return self.book(name, wish.movement(name))

    def do_gift(self, name: str, amount: int, *, on: int, expires: int, priority: int) -> str | None:
        wish = GrantGift(
            account_id=AccountId(OWN),
            amount=cny(amount),
            terms=GiftTerms(day(expires), priority),
            reason="welcome",
            occurred_at=day(on),
        )
        return self.book(name, wish.movement(name))

    def do_revoke(self, name: str, of: str, *, on: int) -> str | None:
        posted = self.books.booked.get(Source(self.ids.get(of, "nothing")))
        lots = self.books.accounts[balance_of(AccountId(OWN))].lots
        if posted is None or posted.lines[0].account_version not in lots:
            return "GiftUsedUp"
        act = Undo(self.ids[of], shortfall=Shortfall.ONLY_WHAT_IS_LEFT)
        return self.book(name, self.moving(name, MovementKind.GIFT_REVOCATION, act, on), or_nothing=True)

    def do_charge(self, name: str, who: str, amount: int, *, on: int) -> str | None:
        payers = self.payers if who == OWN else ()
        movement = self.moving(name, MovementKind.CHARGE, Debit(cny(amount), payers), on)
        return self.book(name, movement._replace(account_id=AccountId(who)))

    def do_refund(self, name: str, of: str, amount: int | None, *, on: int) -> str | None:
        act = Undo(self.ids.get(of, TransactionId("nothing")), None if amount is None else cny(amount))
        return self.book(name, self.moving(name, MovementKind.CHARGE_REFUND, act, on, Billing.CREDIT))

    def do_reserve(self, name: str, amount: int, least: int, *, on: int, expires: int) -> str | None:
        act = SetAside(cny(amount), day(expires), cny(least))
        return self.book(name, self.moving(name, MovementKind.RESERVATION, act, on))

    def do_commit(self, name: str, of: str, used: int, *, on: int) -> str | None:
        act = Capture(self.ids.get(of, TransactionId("nothing")), cny(used))
        return self.book(name, self.moving(name, MovementKind.RESERVATION_COMMIT, act, on))

    def do_release(self, name: str, of: str, *, on: int) -> str | None:
        act = Free(self.ids.get(of, TransactionId("nothing")))
        return self.book(name, self.moving(name, MovementKind.RESERVATION_RELEASE, act, on))

    def do_set_limit(self, name: str, who: str, limit: int, *, on: int) -> str | None:
        wish = SetCreditLimit(account_id=AccountId(who), credit_limit=cny(limit), reason="asked", occurred_at=day(on))
        return self.book(name, wish.movement(name))

    def do_reverse(self, name: str, of: str, amount: int | None, *, owe: bool, on: int) -> str | None:
        asked = None if amount is None else cny(amount)
        act = Undo(self.ids.get(of, TransactionId("nothing")), asked, Shortfall.OWE if owe else Shortfall.REFUSE)
        return self.book(name, self.moving(name, MovementKind.RECHARGE_REVERSAL, act, on))

    def do_put_payers(self, payers: tuple[str, ...], *, on: int) -> None:
        self.payers = tuple(map(AccountId, payers))

    def do_expire(self, on: int) -> None:
        entries = []
        for account_id in map(AccountId, (OWN, PARENT)):
            for posted in self.books.settle(balance_of(account_id), day(on)):
                lapse = Limits(self.accounts).lapse_of(posted)
                entries.append(Entry(account_id, lapse.occurred_at, lapse.booking.steps))
        self.settle(entries)

    def do_order(self, name: str, price_minor: int, *, on: int) -> str | None:
        price = Price(product_id=TV.product_id, currency="CNY", effective_from=day(0), amount_minor=price_minor)
        assert TV.cadence is not None, "it is recurring"
        _, cycle = first_cycle(TV.cadence, day(on).date(), 1)
        total_minor = rate_cycle(TV, price, quantity=1, stretch=cycle.stretch, discount=None).total_minor
        self.bought[name] = total_minor, cycle
        act = Debit(cny(total_minor), self.payers)
        movement = self.moving(name, MovementKind.CHARGE, act, on, Billing.SUPPLEMENT)
        if movement.booked:
            return self.book(name, movement)
        self.settle([self.entry(movement, Booking())])
        return None

    def do_cancel(self, name: str, of: str, *, on: int) -> str | None:
        charged_minor, cycle = self.bought[of]
        refund_minor = split_after(charged_minor, cycle.start, cycle.end, day(on).date()).refund_minor
        return self.do_refund(name, of, refund_minor, on=on) if refund_minor else None

    def do_set_plan(self, plan: str, *, on: int) -> None:
        changed = PlanId(plan or "") != (self.account.plan_id or "")
        self.accounts[OWNED] = replace(self.account, plan_id=PlanId(plan) if plan else None)
        steps = (self.standing(CrossingCause.PLAN, day(on)),) if changed and not self.account.below_threshold else ()
        self.settle([Entry(OWNED, day(on), steps)])

    def standing(self, cause: CrossingCause, at: datetime) -> Step:
        """The account as it stands; nothing moves it."""
        own = self.books.accounts[balance_of(OWNED)]
        measure = own.balance + self.account.credit_limit_minor
        return Step(OWNED, cause, measure, measure, own.balance, own.version, at)

    def bill_at(self, number: int) -> Bill:
        """Refuses BillNotFound, and what keeps a bill from being paid."""
        if number >= len(self.bills):
            raise bill_not_found(BillId("nothing"))
        bill = list(self.bills.values())[number]
        bill.check_open()
        return bill

    def do_pay(self, name: str, number: int, *, on: int) -> str | None:
        try:
            bill = self.bill_at(number)
        except Refusal as refusal:
            return type(refusal).__name__
        return self.book(name, bill_payment(bill, customer_id=None, channel="app", occurred_at=day(on)))

    def do_note(self, number: int, amount: int | None, *, on: int) -> str | None:
        try:
            bill = self.bill_at(number)
            taken = bill.to_credit(None if amount is None else cny(amount))
        except Refusal as refusal:
            return type(refusal).__name__
        tab = self.tab()
        self.keep(tab, list(self.settling(tab).credit(tab, bill, taken, Entry(OWNED, day(on), ()))))
        return None

    def do_bill_due(self, on: int) -> None:
        crossing = self.account.crossing
        if crossing is None or crossing.bill_at is None or crossing.bill_at > day(on):
            return
        of_stay = [bill for bill in self.bills.values() if bill.crossing_version == crossing.account_version]
        original = next((bill.bill_id for bill in of_stay if bill.kind is BillKind.ORIGINAL), None)
        tab, plan = self.tab(), plan_at(THE_PLANS, self.account.plan_id, day(on))
        effects = self.settling(tab).issue(tab, plan, self.standing(crossing.cause, day(on)), original=original)
        self.keep(tab, list(effects))

    def do_send(self, name: str, number: int | None, amount: int, *, on: int) -> str | None:
        bill = None
        try:
            bill = None if number is None else self.bill_at(number)
        except Refusal as refusal:
            return type(refusal).__name__
        asked = cny(amount) if bill is None else bill.remaining
        payment = new_payment(self.account, asked, channel="app", origin=PaymentOrigin.CUSTOMER, requested_at=day(on))
        bill_id = None if bill is None else bill.bill_id
        self.payments[name] = replace(payment, payment_id=PaymentId(name), bill_id=bill_id)
        return None

    def do_hear(self, name: str, of: str, kind: str, reference: str, *, on: int) -> None:
        self.take(of, self.report(of, kind=ReportType(f"payment.{kind}"), reference=f"{of}-{reference}", on=on))

    def do_charge_back(self, name: str, of: str, amount: int, *, on: int) -> None:
        said = self.report(of, kind=ReportType.CHARGEBACK, reference=f"{of}-first", on=on)
        self.take(of, replace(said, amount=cny(amount), sequence=self.named))

    def report(self, of: str, **said: Any) -> Report:
        payment = self.payments[of]
        at = max(day(said["on"]), payment.requested_at)
        return Report(
            type=said["kind"],
            payment_id=payment.payment_id,
            channel="app",
            reference=said["reference"],
            amount=payment.amount,
            sequence=1,
            occurred_at=at,
        )

    def take(self, of: str, report: Report) -> None:
        """What a report means, booked."""
        payment, at = self.payments[of], report.occurred_at
        match judge(payment, report):
            case Verdict.PEND:
                self.payments[of] = replace(payment, state=PaymentState.PENDING, provider_reference=report.reference)
            case Verdict.DECLINE:
                self.payments[of] = replace(payment, state=PaymentState.DECLINED)
            case Verdict.SUCCEED:
                bill = self.bills[payment.bill_id] if payment.bill_id else None
                assert self.book(of, payment_in(payment, bill, occurred_at=at)) is None
                done = replace(payment, state=PaymentState.SUCCEEDED, provider_reference=report.reference)
                self.payments[of] = replace(done, transaction_id=self.ids[of])
            case Verdict.CHARGE_BACK:
                undo = Undo(self.ids[of], report.amount, Shortfall.OWE)
                name = f"{of}:{report.sequence}"
                movement = self.moving(name, MovementKind.CHARGEBACK, undo, 0)._replace(occurred_at=at)
                assert self.book(name, movement) is None
                back = Chargeback(report.sequence, report.amount.minor_units)
                self.payments[of] = replace(payment, chargebacks=(*payment.chargebacks, back))

    def do_give_up(self, of: str, *, on: int) -> str | None:
        payment = self.payments[of]
        if not payment.state.on_its_way and payment.state is not PaymentState.CANCELLED:
            return PaymentEnded.__name__
        self.payments[of] = replace(payment, state=PaymentState.CANCELLED)
        return None

    def teardown(self) -> None:
        self.seen.update(self.model.bills.seen)

    def do_end_late(self, on: int) -> None:
        for name, payment in self.payments.items():
            if payment.state.on_its_way and payment.expires_at <= day(on) + HOUR:
                self.payments[name] = replace(payment, state=PaymentState.EXPIRED)


def test_the_rules_agree_with_the_model() -> None:
    run_state_machine_as_test(RulesMachine, settings=games(2000, acts=50))
    assert RulesMachine.seen == RARE
