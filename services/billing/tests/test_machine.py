"""The accounts machine on the rules alone: movements as the ledger's commands, their steps to the thresholds."""

from dataclasses import replace

from billing.domain.credit_limit import SetCreditLimit
from billing.domain.gift import GrantGift
from billing.domain.ids import AccountId, PlanId, TransactionId
from billing.domain.movement import (
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
from billing.domain.settlement import NOWHERE, Entry, entry_of, stand_after, turn
from billing.domain.threshold import Turn
from billing.domain.wish import Recharge
from billing.store.posting import Limits, balance_of, command_of
from chassis.errors import Refusal
from chassis.testing.games import games
from hypothesis.stateful import run_state_machine_as_test
from ledger import Asset, Source
from ledger.domain.account import Account
from ledger.domain.engine import EXPIRED, Books

from services.billing.tests.factories import PLAN, a_plan, an_account, cny
from services.billing.tests.machine import day
from services.billing.tests.model import OWN, PARENT, THRESHOLD, Look
from services.billing.tests.ordering import OrdersMachine

PLANS = {PLAN: [a_plan(THRESHOLD, 2 * THRESHOLD)]}


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


class RulesMachine(OrdersMachine):
    """Without a database."""

    def __init__(self) -> None:
        super().__init__()
        names: dict[str, PlanId | None] = {OWN: PLAN, PARENT: None}
        balances = {balance_of(AccountId(who)): Account(balance_of(AccountId(who)), Asset("CNY")) for who in names}
        self.books = Books(frozenset([*MovementKind, EXPIRED]), balances)
        self.accounts = {AccountId(who): an_account(who, plan_id=plan_id) for who, plan_id in names.items()}
        self.payers: tuple[AccountId, ...] = ()
        self.ids: dict[str, TransactionId] = {}
        self.crossed = 0

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
        entry = entry_of(movement, booking, booking.stands.get(movement.account_id, NOWHERE), self.accounts)
        stand_after(self.accounts, movement, booking, ())
        self.turn(entry)
        return None

    def moving(self, name: str, kind: MovementKind, act: Debit | SetAside | Capture | Free | Undo, on: int) -> Movement:
        return Movement(identity=name, account_id=AccountId(OWN), kind=kind, act=act, note="", occurred_at=day(on))

    def look(self) -> Look:
        own, parent = (self.books.accounts[balance_of(AccountId(who))] for who in (OWN, PARENT))
        below = self.accounts[AccountId(OWN)].below_threshold
        return Look((own.balance, own.held), (parent.balance, parent.held), below, self.crossed)

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
        return self.book(name, self.moving(name, MovementKind.CHARGE_REFUND, act, on))

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
        for account_id in map(AccountId, (OWN, PARENT)):
            for posted in self.books.settle(balance_of(account_id), day(on)):
                lapse = Limits(self.accounts).lapse_of(posted)
                self.turn(Entry(account_id, lapse.occurred_at, lapse.booking.steps))

    def turn(self, entry: Entry) -> None:
        (turns,) = turn(self.accounts, PLANS, [entry])
        for each in turns:
            account_id = each.step.account_id
            self.accounts[account_id] = replace(self.accounts[account_id], crossing=each.crossing)
            self.crossed += each.turn is Turn.CROSSED


def test_the_rules_agree_with_the_model() -> None:
    run_state_machine_as_test(RulesMachine, settings=games(2000, acts=50))
