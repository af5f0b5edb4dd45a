"""Facts of gifts, credit limits and what is taken back."""

from dataclasses import dataclass
from datetime import datetime

from chassis.money import Money

from billing.domain.account import Account
from billing.domain.facts import OfAccount
from billing.domain.ids import TransactionId
from billing.domain.movement import Credit, Expired, Moved
from billing.domain.reversal import Recharged


@dataclass(frozen=True, slots=True, kw_only=True)
class GiftExpired(OfAccount):
    """What was left of a gift expired, or was revoked."""

    transaction_id: TransactionId
    amount: Money
    balance_after: Money
    account_version: int
    revoked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GiftGranted(OfAccount):
    """Gift credit was given; no recharge, and no points for it."""

    gift_id: TransactionId
    amount: Money
    balance_after: Money
    expires_at: datetime | None
    account_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditLimitSet(OfAccount):
    """State: how far an account may go below zero; `revision` is the number of the account's change."""

    credit_limit: Money
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RechargeReversed(OfAccount):
    """A recharge was taken back, all or a part. `cause` is mistake, refund or chargeback."""

    transaction_id: TransactionId
    recharge_transaction_id: TransactionId
    amount: Money
    recharge_amount: Money
    reversed_before: Money
    balance_after: Money
    cause: str
    recharged_at: datetime
    account_version: int


def gift_granted(moved: Moved) -> GiftGranted:
    """The fact of a gift."""
    act = moved.movement.act
    assert isinstance(act, Credit)
    return GiftGranted(
        account_id=moved.account.account_id,
        customer_id=moved.account.customer_id,
        occurred_at=moved.movement.occurred_at,
        gift_id=moved.movement.transaction_id,
        amount=act.amount,
        balance_after=moved.balance_after,
        expires_at=act.terms.expires_at if act.terms else None,
        account_version=moved.account_version,
    )


def gift_revoked(moved: Moved) -> GiftExpired:
    """The fact of a gift taken back."""
    return GiftExpired(
        account_id=moved.account.account_id,
        customer_id=moved.account.customer_id,
        occurred_at=moved.movement.occurred_at,
        transaction_id=moved.movement.transaction_id,
        amount=moved.amount,
        balance_after=moved.balance_after,
        account_version=moved.account_version,
        revoked=True,
    )


def credit_limit_set(moved: Moved) -> CreditLimitSet:
    """The fact of a credit limit."""
    return CreditLimitSet(
        account_id=moved.account.account_id,
        customer_id=moved.account.customer_id,
        occurred_at=moved.movement.occurred_at,
        credit_limit=moved.account.money(moved.account.credit_limit_minor),
        revision=moved.account_version,
    )


def recharge_reversed(moved: Moved, recharged: Recharged) -> RechargeReversed:
    """The fact of a recharge that was put in by mistake."""
    return RechargeReversed(
        account_id=moved.account.account_id,
        customer_id=moved.account.customer_id,
        occurred_at=moved.movement.occurred_at,
        transaction_id=moved.movement.transaction_id,
        recharge_transaction_id=recharged.transaction_id,
        amount=moved.amount,
        recharge_amount=recharged.amount,
        reversed_before=moved.account.money(recharged.reversed_minor),
        balance_after=moved.balance_after,
        cause="mistake",
        recharged_at=recharged.recharged_at,
        account_version=moved.account_version,
    )


def gift_expired(expired: Expired, account: Account) -> GiftExpired:
    """The fact of an expiry."""
    return GiftExpired(
        account_id=account.account_id,
        customer_id=account.customer_id,
        occurred_at=expired.occurred_at,
        transaction_id=expired.transaction_id,
        amount=expired.amount,
        balance_after=expired.balance_after,
        account_version=expired.account_version,
    )
