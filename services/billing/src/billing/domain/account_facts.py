"""Facts of gifts, credit limits and what is taken back."""

from dataclasses import dataclass

from chassis.money import Money

from billing.domain.account import Account
from billing.domain.facts import OfAccount
from billing.domain.ids import TransactionId
from billing.domain.movement import Expired


@dataclass(frozen=True, slots=True, kw_only=True)
class GiftExpired(OfAccount):
    """What was left of a gift expired, or was revoked."""

    transaction_id: TransactionId
    amount: Money
    balance_after: Money
    account_version: int
    revoked: bool = False


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
