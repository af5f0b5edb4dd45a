"""Movements: what is wished of a balance, and what became of it.

A movement says why, for whom and when; its act says what the ledger is to do. Every one becomes one ledger
transaction, but a charge of zero.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from chassis.errors import InvalidArgument, Refusal
from chassis.money import Money

from billing.domain.account import Account
from billing.domain.bill import Bill
from billing.domain.ids import AccountId, CustomerId, SubscriptionId, TransactionId
from billing.domain.threshold import CrossingCause, Step, Turned

OCCURRED_BEFORE = datetime(9900, 1, 1, tzinfo=UTC)
"""Later business times are refused: a due date counted from them would leave the calendar."""

REGRANT_FOR = timedelta(days=30)
"""How long gift credit lives that comes back after it would have expired."""

NOTHING_MORE: Mapping[str, str] = MappingProxyType({})

PAYMENT = "payment_id"
"""What a movement is about that brings the money of a payment through a channel, or takes it back."""

TAKEN_AGAIN_BY = "taken_again_by"
"""What a movement is about that only gives back what another of the same change takes again: that one's transaction. It
brings nobody back to a threshold; the other one does, or not."""


class InsufficientBalance(Refusal):
    """Less can be taken than is asked; metadata `available_minor` says how much there is."""


class CreditLimitInUse(Refusal):
    """A credit limit is not set below what is used of it."""


class MovementKind(StrEnum):
    """Why a balance changed, as the ledger and the statement name it."""

    RECHARGE = "recharge"
    CHARGE = "charge"
    ADJUSTMENT = "adjustment"
    BILL_PAYMENT = "bill_payment"
    GIFT = "gift"
    GIFT_REVOCATION = "gift_revocation"
    CREDIT_LIMIT = "credit_limit"
    RECHARGE_REVERSAL = "recharge_reversal"
    CHARGEBACK = "chargeback"
    PAYMENT_REFUND_HOLD = "payment_refund_hold"
    PAYMENT_REFUND = "payment_refund"
    PAYMENT_REFUND_RELEASE = "payment_refund_release"
    CHARGE_REFUND = "charge_refund"
    RESERVATION = "reservation"
    RESERVATION_COMMIT = "reservation_commit"
    RESERVATION_RELEASE = "reservation_release"
    MIGRATION = "migration"
    MIGRATION_UNDO = "migration_undo"
    DUE_OVER = "due_over"


class Billing(StrEnum):
    """What a movement means to a bill that is open."""

    PLAIN = "plain"
    SUPPLEMENT = "supplement"
    """An order's debit in mid-cycle: a supplement asks for it."""
    CREDIT = "credit"
    """A refund into the balance: a credit note takes it off."""
    DUE = "due"
    """A recurring charge: where the balance does not cover it, that alone crosses the threshold."""


class Shortfall(StrEnum):
    """What undoing a credit does when it has been spent."""

    REFUSE = "refuse"
    ONLY_WHAT_IS_LEFT = "only_what_is_left"
    """Takes what is left of that very gift, and nothing else."""
    DOWN_TO_FLOOR = "down_to_floor"
    """Takes what is there, the credit limit included."""
    OWE = "owe"
    """Leaves the account owing what is not there."""


class GiftTerms(NamedTuple):
    """How long gift credit lives, exclusive, None for ever, and its place: the lowest priority is spent first."""

    expires_at: datetime | None
    priority: int = 0


class Credit(NamedTuple):
    """Puts in: cash, or gift credit where there are terms."""

    amount: Money
    terms: GiftTerms | None = None


class Debit(NamedTuple):
    """Takes out, from the payers first and in their order, the whole or nothing; with `at_least`, what there is."""

    amount: Money
    payers: tuple[AccountId, ...] = ()
    at_least: Money | None = None


class SetAside(NamedTuple):
    """Sets an amount aside until an instant (exclusive). The movement's transaction names what is set aside."""

    amount: Money
    expires_at: datetime
    at_least: Money | None = None


class Capture(NamedTuple):
    """Takes what was set aside, or a part of it, and frees the rest."""

    hold: TransactionId
    amount: Money


class Free(NamedTuple):
    """Frees all that was set aside."""

    hold: TransactionId


class Undo(NamedTuple):
    """Undoes a movement, all that is not undone yet or an amount of it."""

    of: TransactionId
    amount: Money | None = None
    shortfall: Shortfall = Shortfall.REFUSE
    regrant_for: timedelta = REGRANT_FOR


class Limit(NamedTuple):
    """Sets how far the balance may go below zero."""

    credit_limit: Money


Act = Credit | Debit | SetAside | Capture | Free | Undo | Limit


class Movement(NamedTuple):
    """One change of one balance, wished.

    `identity` is that of the charge, bill or gift it comes from. `settles` is the bill it pays. `about` names what it
    belongs to (charge_id, order_id, payment_id …) in the ledger and in what is told. `billed_minor` is what of it a
    supplement asks for, or credit notes take back, where that is not all: the net of a change. `cycle_of` is the
    subscription whose cycle is not due any more once this is done, because it is charged by it or called off with it.
    """

    identity: str
    account_id: AccountId
    kind: MovementKind
    act: Act
    note: str
    occurred_at: datetime
    customer_id: CustomerId | None = None
    settles: Bill | None = None
    billing: Billing = Billing.PLAIN
    about: Mapping[str, str] = NOTHING_MORE
    billed_minor: int | None = None
    cycle_of: SubscriptionId | None = None

    @property
    def transaction_id(self) -> TransactionId:
        """The ledger's name for it, made from the cause, so that one cause is booked once."""
        return TransactionId(f"{self.kind.value}:{self.identity}")

    @property
    def booked(self) -> bool:
        """Whether the ledger has a transaction for it."""
        return not isinstance(self.act, Debit) or self.act.amount.minor_units != 0

    @property
    def asked(self) -> Money | None:
        """The amount that the act names, without sign; None where it is all there is to free or undo."""
        match self.act:
            case Free():
                return None
            case Limit(credit_limit=amount) | Undo(amount=amount):
                return amount
            case _:
                return self.act.amount

    @property
    def amount(self) -> Money:
        """As `asked`, of an act that names an amount."""
        asked = self.asked
        assert asked is not None, "what frees or undoes all there is has no amount of its own"
        return asked

    @property
    def change(self) -> Money:
        """What it wishes to change the balance by: less than zero where it takes, 0 where it sets aside or frees."""
        match self.act:
            case Credit(amount):
                return amount
            case Debit(amount) | Capture(amount=amount):
                return Money(-amount.minor_units, amount.currency)
            case _:
                return Money(0, self.amount.currency)

    def check_against(self, account: Account) -> None:
        """Refuses a foreign account and a wrong currency."""
        account.check_owner(self.customer_id)
        if (asked := self.asked) is not None:
            account.check_amount(asked, "credit_limit" if isinstance(self.act, Limit) else "amount")


class Share(NamedTuple):
    """What a movement did to one account: how much it took, put in, set aside or freed there, without sign.

    `gift` is the part of it that was, or became, gift credit.
    """

    account_id: AccountId
    amount: Money
    gift: Money
    balance_after: Money
    account_version: int


class Expired(NamedTuple):
    """Gift credit that was found expired, and booked off, with a movement or by itself."""

    transaction_id: TransactionId
    account_id: AccountId
    amount: Money
    balance_after: Money
    account_version: int
    occurred_at: datetime


class Stand(NamedTuple):
    """Where a balance stands, in minor units, and the number of its last change."""

    balance_minor: int
    account_version: int


class Booking(NamedTuple):
    """What the ledger says of a movement. `steps` are all changes of a measure, those of expiries among them, in the
    order of booking; `stands` is how it left the accounts that it touched."""

    shares: tuple[Share, ...] = ()
    steps: tuple[Step, ...] = ()
    expired: tuple[Expired, ...] = ()
    stands: Mapping[AccountId, Stand] = MappingProxyType({})


class Moved(NamedTuple):
    """A movement as it was booked, and what it meant for thresholds and bills.

    `account` is the movement's own as it stands after it. `shares` has one for each account that it changed: a charge
    that others paid has theirs, and none of its own account where they paid all. For a charge of zero the version is
    that of the movement before. `bills` are those that the movement's steps caused, payers' bills among them.
    """

    movement: Movement
    account: Account
    shares: tuple[Share, ...]
    balance_after: Money
    account_version: int
    turns: tuple[Turned, ...] = ()
    bills: tuple[Bill, ...] = ()
    expired: tuple[Expired, ...] = ()

    @property
    def transaction_id(self) -> TransactionId | None:
        """The ledger's transaction; None for a charge of zero."""
        return self.movement.transaction_id if self.movement.booked else None

    @property
    def amount(self) -> Money:
        """How much was moved in all, without sign."""
        if len(self.shares) == 1:
            return self.shares[0].amount
        return self._sum(share.amount for share in self.shares)

    @property
    def gift(self) -> Money:
        """How much of it was gift credit."""
        if len(self.shares) == 1:
            return self.shares[0].gift
        return self._sum(share.gift for share in self.shares)

    @property
    def bill(self) -> Bill | None:
        """The bill that the movement caused on its own account."""
        return next((bill for bill in self.bills if bill.account_id == self.account.account_id), None)

    @property
    def paid_by_others(self) -> tuple[Share, ...]:
        """The shares of other accounts."""
        return tuple(share for share in self.shares if share.account_id != self.account.account_id)

    def _sum(self, amounts: Iterable[Money]) -> Money:
        return self.account.money(sum(amount.minor_units for amount in amounts))


class StatementEntry(NamedTuple):
    """One line of an account's statement; a negative amount took from the balance, and `gift` is what of it was gift
    credit. `kind` is a movement's, or the ledger's own where something expired."""

    transaction_id: TransactionId
    kind: str
    amount: Money
    gift: Money
    balance_after: Money
    account_version: int
    note: str
    occurred_at: datetime
    recorded_at: datetime
    charge_id: str = ""
    reverses: TransactionId | None = None


def due_steps(
    movement: Movement, outcome: Refusal, stand: Stand, accounts: Mapping[AccountId, Account]
) -> tuple[Step, ...]:
    """A recurring charge that is refused for want of balance counts as gone: that may cross the threshold."""
    if not isinstance(outcome, InsufficientBalance) or movement.billing is not Billing.DUE:
        return ()
    if not isinstance(movement.act, Debit):
        return ()
    measured = stand.balance_minor + accounts[movement.account_id].credit_limit_minor
    due_minor = movement.act.amount.minor_units
    return (
        Step(
            account_id=movement.account_id,
            cause=CrossingCause.DUE_CHARGE,
            measured_before=measured,
            measured_after=measured - due_minor,
            balance_after=stand.balance_minor,
            account_version=stand.account_version,
            occurred_at=movement.occurred_at,
            due_minor=due_minor,
            due_of=movement.cycle_of,
        ),
    )


def check_occurred_at(occurred_at: datetime) -> None:
    """Refuses business times at the end of the calendar."""
    if occurred_at >= OCCURRED_BEFORE:
        raise InvalidArgument("occurred_at", f"must be before the year {OCCURRED_BEFORE.year}")


def insufficient_balance(account: Account, available_minor: int) -> InsufficientBalance:
    """The answer to a movement that would take more than there is."""
    return InsufficientBalance(
        f"account {account.account_id} has {available_minor} {account.currency} in minor units",
        account_id=account.account_id,
        available_minor=str(available_minor),
        currency=account.currency,
    )


def credit_limit_in_use(account: Account) -> CreditLimitInUse:
    """The answer to a credit limit below what is used of it."""
    return CreditLimitInUse(f"account {account.account_id} uses more of its limit", account_id=account.account_id)
