"""Movements: what goes into and out of a balance. Every one becomes a ledger transaction, but a charge of zero."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from chassis.errors import InvalidArgument, Refusal
from chassis.money import Money

from billing.domain.account import Account
from billing.domain.bill import Bill
from billing.domain.ids import AccountId, CustomerId, TransactionId
from billing.domain.threshold import Turn

OCCURRED_BEFORE = datetime(9900, 1, 1, tzinfo=UTC)
"""Later business times are refused: a due date counted from them would leave the calendar."""


class InsufficientBalance(Refusal):
    """A balance never goes below 0; metadata `available_minor` says how much there is."""


class MovementKind(StrEnum):
    """Why a balance changed, as the ledger and the statement name it."""

    RECHARGE = "recharge"
    CHARGE = "charge"
    ADJUSTMENT = "adjustment"
    BILL_PAYMENT = "bill_payment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recharge:
    """Wish to put money in; more than zero."""

    account_id: AccountId
    customer_id: CustomerId | None
    amount: Money
    channel: str
    occurred_at: datetime

    def __post_init__(self) -> None:
        self.amount.positive("amount")
        check_occurred_at(self.occurred_at)

    def movement(self, identity: str) -> "Movement":
        """The movement that does it; `identity` is its own."""
        return Movement(
            identity=identity,
            account_id=self.account_id,
            customer_id=self.customer_id,
            kind=MovementKind.RECHARGE,
            change=self.amount,
            note=self.channel,
            occurred_at=self.occurred_at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """Wish to take a rated charge; zero or more."""

    account_id: AccountId
    amount: Money
    description: str
    occurred_at: datetime

    def __post_init__(self) -> None:
        self.amount.not_negative("amount")
        check_occurred_at(self.occurred_at)

    def movement(self, identity: str) -> "Movement":
        """The movement that does it; `identity` is the charge's id."""
        return Movement(
            identity=identity,
            account_id=self.account_id,
            kind=MovementKind.CHARGE,
            change=Money(-self.amount.minor_units, self.amount.currency),
            note=self.description,
            occurred_at=self.occurred_at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """Wish to correct a balance by a new entry, up or down; not zero."""

    account_id: AccountId
    amount: Money
    reason: str
    occurred_at: datetime

    def __post_init__(self) -> None:
        if self.amount.checked("amount").minor_units == 0:
            raise InvalidArgument("amount.minor_units", "must not be 0")
        check_occurred_at(self.occurred_at)

    def movement(self, identity: str) -> "Movement":
        """The movement that does it; `identity` is its own."""
        return Movement(
            identity=identity,
            account_id=self.account_id,
            kind=MovementKind.ADJUSTMENT,
            change=self.amount,
            note=self.reason,
            occurred_at=self.occurred_at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """One change of one balance, wished: positive puts in, negative takes out, a charge of zero does neither.

    `identity` is that of the charge or the bill it comes from; a recharge and an adjustment have their own.
    """

    identity: str
    account_id: AccountId
    customer_id: CustomerId | None = None
    kind: MovementKind
    change: Money
    note: str
    occurred_at: datetime
    settles: Bill | None = None

    @property
    def transaction_id(self) -> TransactionId:
        """The ledger's name for it, made from the cause, so that one cause is booked once."""
        return TransactionId(f"{self.kind}:{self.identity}")

    @property
    def booked(self) -> bool:
        """Whether the ledger has a transaction for it."""
        return self.change.minor_units != 0

    @property
    def amount(self) -> Money:
        """How much was moved, as a charge or a recharge says it: without sign."""
        return Money(abs(self.change.minor_units), self.change.currency)

    def check_against(self, account: Account) -> None:
        """Refuses a foreign account and a wrong currency."""
        account.check_owner(self.customer_id)
        account.check_amount(self.change)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A movement as it was booked: the account after it, what the threshold machine saw, and the bill it caused.

    For a charge of zero the version is that of the movement before. `met` is the threshold crossed or come back to.
    """

    movement: Movement
    account: Account
    balance_after: Money
    account_version: int
    turn: Turn
    met: Money
    bill: Bill | None = None

    @property
    def transaction_id(self) -> TransactionId | None:
        """The ledger's transaction; None for a charge of zero."""
        return self.movement.transaction_id if self.movement.booked else None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementEntry:
    """One line of an account's statement; a negative amount took from the balance."""

    transaction_id: TransactionId
    kind: MovementKind
    amount: Money
    balance_after: Money
    account_version: int
    note: str
    occurred_at: datetime
    recorded_at: datetime


def check_occurred_at(occurred_at: datetime) -> None:
    """Refuses business times at the end of the calendar."""
    if occurred_at >= OCCURRED_BEFORE:
        raise InvalidArgument("occurred_at", f"must be before the year {OCCURRED_BEFORE.year}")


def bill_payment(bill: Bill, *, customer_id: CustomerId | None, channel: str, occurred_at: datetime) -> Movement:
    """The recharge that closes a bill. Its transaction is named after the bill, so the ledger too has room for one."""
    check_occurred_at(occurred_at)
    return Movement(
        identity=bill.bill_id,
        account_id=bill.account_id,
        customer_id=customer_id,
        kind=MovementKind.BILL_PAYMENT,
        change=bill.amount,
        note=channel,
        occurred_at=occurred_at,
        settles=bill.paid(occurred_at),
    )


def insufficient_balance(account: Account, available_minor: int) -> InsufficientBalance:
    """The answer to a movement that would take the balance below 0."""
    return InsufficientBalance(
        f"account {account.account_id} has {available_minor} {account.currency} in minor units",
        account_id=account.account_id,
        available_minor=str(available_minor),
        currency=account.currency,
    )
