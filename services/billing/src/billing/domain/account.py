"""Accounts: who pays, in which currency, by which plan, and whether the present stay below a threshold was billed."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple

from chassis.errors import AlreadyExists, FieldViolation, InvalidArgument, NotFound, PermissionDenied
from chassis.money import Money, check_currency

from billing.domain.ids import AccountId, CustomerId, PlanId
from billing.domain.threshold import Crossing


class AccountNotFound(NotFound):
    """No such account, or not one of the customer named: the answer is the same."""


class AccountExists(AlreadyExists):
    """BOSS's account number is in use."""


class CreditLimitDenied(PermissionDenied):
    """Who opens accounts does not by that say how far they may go below zero: that is for who may set credit limits."""

    def __init__(self) -> None:
        super().__init__("credit_limit: an account with one is opened by who may set credit limits")
        self.violations = (FieldViolation("credit_limit", "must be unset or 0 for a caller who may not set it"),)


class AccountState(StrEnum):
    """Whether an account is served."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


class Because(StrEnum):
    """Why an account's state is what it is."""

    OVERDUE = "overdue"
    OPERATOR = "operator"
    RESTORED = "restored"


class Service(NamedTuple):
    """Whether an account is served, since when and why; `revision` rises with every change."""

    state: AccountState = AccountState.ACTIVE
    revision: int = 0
    because: Because | None = None
    since: datetime | None = None


AS_OPENED = Service()
"""An account that was never suspended."""


class DayThreshold(NamedTuple):
    """A threshold that follows the spend, as worked out for one day."""

    threshold_minor: int
    day: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One universal balance in one currency. The balance itself is the ledger's."""

    account_id: AccountId
    customer_id: CustomerId
    currency: str
    plan_id: PlanId | None
    opened_at: datetime
    credit_limit_minor: int = 0
    has_payers: bool = False
    crossing: Crossing | None = None
    service: Service = AS_OPENED
    day_threshold: DayThreshold | None = None
    overdue_at: datetime | None = None

    @property
    def below_threshold(self) -> bool:
        """Whether the balance fell below its threshold and has not been back since."""
        return self.crossing is not None

    def money(self, amount_minor: int) -> Money:
        """An amount in the account's currency."""
        return Money(amount_minor, self.currency)

    def check_owner(self, customer_id: CustomerId | None) -> None:
        """Refuses AccountNotFound when a customer is named and the account is another's."""
        if customer_id is not None and customer_id != self.customer_id:
            raise account_not_found(self.account_id)

    def check_amount(self, amount: Money, field: str = "amount") -> None:
        """Refuses an amount in another currency than the account's."""
        if amount.currency != self.currency:
            raise InvalidArgument(f"{field}.currency", f"must be {self.currency}, the currency of the account")


class BalanceParts(NamedTuple):
    """What a balance consists of: cash and gift credit; and what of it is set aside. `owed` is what reversals left
    owing beyond the credit limit."""

    balance: Money
    gift: Money
    held: Money
    credit_limit: Money
    owed: Money

    @property
    def cash(self) -> Money:
        """What was paid in; less than zero where the credit limit is used."""
        return self.balance - self.gift

    @property
    def spendable(self) -> Money:
        """What can be taken now, the credit limit included; never less than zero."""
        free = self.balance.minor_units - self.held.minor_units + self.credit_limit.minor_units
        return Money(max(free, 0), self.balance.currency)


class Standing(NamedTuple):
    """An account with its balance; `account_version` is that of its last movement, 0 before the first."""

    account: Account
    parts: BalanceParts
    account_version: int

    @property
    def balance(self) -> Money:
        """All of it, cash and gift credit."""
        return self.parts.balance


def as_opened(account: Account) -> Standing:
    """The standing of an account that nothing moved yet."""
    nothing, limit = account.money(0), account.money(account.credit_limit_minor)
    return Standing(account, BalanceParts(nothing, nothing, nothing, limit, nothing), 0)


def account_not_found(account_id: AccountId) -> AccountNotFound:
    """The one answer for an account that is missing or another's."""
    return AccountNotFound(f"there is no account {account_id}", account_id=account_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAccount:
    """Wish of BOSS: an account under its own number."""

    account_id: AccountId
    customer_id: CustomerId
    currency: str
    plan_id: PlanId | None
    occurred_at: datetime
    credit_limit: Money | None = None

    def __post_init__(self) -> None:
        check_currency("currency", self.currency)
        if self.credit_limit is not None:
            self.credit_limit.not_negative("credit_limit")
            if self.credit_limit.currency != self.currency:
                raise InvalidArgument("credit_limit.currency", f"must be {self.currency}, the currency of the account")

    def check_limit(self, *, sets_limits: bool) -> None:
        """Refuses CreditLimitDenied for a limit above 0 to a caller who may not set credit limits."""
        if not sets_limits and self.credit_limit is not None and self.credit_limit.minor_units:
            raise CreditLimitDenied

    def opened(self) -> Account:
        """The account as it starts: balance 0, never billed."""
        return Account(
            account_id=self.account_id,
            customer_id=self.customer_id,
            currency=self.currency,
            plan_id=self.plan_id,
            opened_at=self.occurred_at,
            credit_limit_minor=self.credit_limit.minor_units if self.credit_limit else 0,
        )
