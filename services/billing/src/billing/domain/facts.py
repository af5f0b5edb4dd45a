"""Facts: what billing tells the other services. All are effects: each is to be counted once, in whatever order.

`aggregate_id` is the account, so that the facts of one account keep their order; `occurred_at` is business time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from chassis.money import Money

from billing.domain.account import Account
from billing.domain.bill import BillKind
from billing.domain.ids import AccountId, BillId, ChargeId, CustomerId, TransactionId
from billing.domain.movement import Credit, Moved, MovementKind, Share
from billing.domain.threshold import CrossingCause


@dataclass(frozen=True, slots=True, kw_only=True)
class OfAccount:
    """What every fact of billing tells: of which account, whose, and when."""

    account_id: AccountId
    customer_id: CustomerId
    occurred_at: datetime

    @property
    def aggregate_id(self) -> str:
        """The account."""
        return self.account_id


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountOpened(OfAccount):
    """An account was opened."""

    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRecharged(OfAccount):
    """Money came in, the payment of a bill included."""

    amount: Money
    balance_after: Money
    transaction_id: TransactionId
    account_version: int
    channel: str
    payment_id: str = ""
    bill_id: BillId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountCharged(OfAccount):
    """A charge was taken. A charge of zero is told as well; it has no transaction and the version of the one before."""

    charge_id: ChargeId
    amount: Money
    balance_after: Money
    transaction_id: TransactionId | None
    account_version: int
    description: str
    gift: Money
    product_id: str = ""
    order_id: str = ""
    subscription_id: str = ""
    paid_by: tuple[Share, ...] = ()
    late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceAdjusted(OfAccount):
    """A balance was corrected; a negative amount took away."""

    amount: Money
    balance_after: Money
    transaction_id: TransactionId
    account_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceFellBelowThreshold(OfAccount):
    """A debit crossed the threshold. `bill_id` is None when open bills already ask for the whole gap."""

    balance: Money
    threshold: Money
    bill_id: BillId | None
    account_version: int
    cause: CrossingCause
    credit_limit: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceRestored(OfAccount):
    """The balance is back at or above the threshold; the next crossing is billed again."""

    balance: Money
    threshold: Money
    account_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BillIssued(OfAccount):
    """A bill was issued, or a supplement to one."""

    bill_id: BillId
    bill_number: int
    amount: Money
    due_at: datetime
    kind: BillKind = BillKind.ORIGINAL
    corrects: BillId | None = None
    cause: CrossingCause | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BillPaid(OfAccount):
    """A bill was paid; its money is told by AccountRecharged."""

    bill_id: BillId
    amount: Money


Fact = (
    AccountOpened
    | AccountRecharged
    | AccountCharged
    | BalanceAdjusted
    | BalanceFellBelowThreshold
    | BalanceRestored
    | BillIssued
    | BillPaid
)


def account_opened(account: Account) -> AccountOpened:
    """The fact of a new account."""
    return AccountOpened(
        account_id=account.account_id,
        customer_id=account.customer_id,
        occurred_at=account.opened_at,
        currency=account.currency,
    )


def facts_of(moved: Moved) -> Iterator[Fact]:
    """What a movement tells. Kinds that are not told here are told by the use case that moves them, and what it meant
    for bills by their settlement."""
    match moved.movement.kind:
        case MovementKind.RECHARGE | MovementKind.BILL_PAYMENT:
            yield _recharged(moved)
        case MovementKind.CHARGE | MovementKind.RESERVATION_COMMIT:
            yield _charged(moved)
        case MovementKind.ADJUSTMENT:
            yield _adjusted(moved)
        case _:
            pass


def _recharged(moved: Moved) -> AccountRecharged:
    movement = moved.movement
    return AccountRecharged(
        account_id=moved.account.account_id,
        customer_id=moved.account.customer_id,
        occurred_at=movement.occurred_at,
        amount=moved.amount,
        balance_after=moved.balance_after,
        transaction_id=movement.transaction_id,
        account_version=moved.account_version,
        channel=movement.note,
        payment_id=movement.about.get("payment_id", ""),
        bill_id=movement.settles.bill_id if movement.settles else None,
    )


def _charged(moved: Moved) -> AccountCharged:
    movement = moved.movement
    about = movement.about
    return AccountCharged(
        account_id=moved.account.account_id,
        customer_id=moved.account.customer_id,
        occurred_at=movement.occurred_at,
        charge_id=ChargeId(about.get("charge_id", movement.identity)),
        amount=moved.amount,
        balance_after=moved.balance_after,
        transaction_id=moved.transaction_id,
        account_version=moved.account_version,
        description=movement.note,
        gift=moved.gift,
        product_id=about.get("product_id", ""),
        order_id=about.get("order_id", ""),
        subscription_id=about.get("subscription_id", ""),
        paid_by=moved.shares if moved.paid_by_others else (),
        late="late" in about,
    )


def _adjusted(moved: Moved) -> BalanceAdjusted:
    amount = moved.amount.minor_units
    return BalanceAdjusted(
        account_id=moved.account.account_id,
        customer_id=moved.account.customer_id,
        occurred_at=moved.movement.occurred_at,
        amount=moved.account.money(amount if isinstance(moved.movement.act, Credit) else -amount),
        balance_after=moved.balance_after,
        transaction_id=moved.movement.transaction_id,
        account_version=moved.account_version,
    )
