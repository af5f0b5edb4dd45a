"""Gift credit: given, spent before cash, gone when it expires. Each gift is a lot of the ledger of its own."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from chassis.errors import InvalidArgument, NotFound, Refusal
from chassis.money import Money
from chassis.violations import range_violations, refuse_any

from billing.domain.ids import AccountId, TransactionId
from billing.domain.movement import Credit, GiftTerms, Movement, MovementKind, Shortfall, Undo, check_occurred_at

PRIORITY_MAX = 1000


class GiftNotFound(NotFound):
    """No gift has this identity."""


class GiftUsedUp(Refusal):
    """Nothing is left of the gift: it was spent, has expired or was revoked."""


class Gift(NamedTuple):
    """A gift and what is left of it. `lot` is the ledger's: the account version that granted it; None where all of it
    went to what the account owed."""

    gift_id: TransactionId
    account_id: AccountId
    lot: int | None
    granted: Money
    remaining: Money
    terms: GiftTerms
    reason: str
    granted_at: datetime


class GiftPlace(NamedTuple):
    """Where a gift stands in the order of spending; one that never expires comes last of its priority."""

    priority: int
    expires_at: datetime | None
    lot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantGift:
    """Wish to give gift credit; more than zero, alive when it is given."""

    account_id: AccountId
    amount: Money
    terms: GiftTerms
    reason: str
    occurred_at: datetime

    def __post_init__(self) -> None:
        self.amount.positive("amount")
        check_occurred_at(self.occurred_at)
        refuse_any(range_violations("priority", self.terms.priority, least=0, most=PRIORITY_MAX))
        if self.terms.expires_at is not None and self.terms.expires_at <= self.occurred_at:
            raise InvalidArgument("expires_at", "must be after occurred_at")

    def movement(self, identity: str) -> Movement:
        """The movement that does it; `identity` is its own."""
        return Movement(
            identity=identity,
            account_id=self.account_id,
            kind=MovementKind.GIFT,
            act=Credit(self.amount, self.terms),
            note=self.reason,
            occurred_at=self.occurred_at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeGift:
    """Wish to take back what is left of a gift."""

    gift_id: TransactionId
    reason: str
    occurred_at: datetime

    def __post_init__(self) -> None:
        check_occurred_at(self.occurred_at)

    def movement(self, identity: str, gift: Gift) -> Movement:
        """The movement that does it: nothing but what is left of that very gift, which may be nothing. Refuses
        GiftUsedUp where it never was in the account as a gift."""
        if gift.lot is None:
            raise gift_used_up(gift.gift_id)
        return Movement(
            identity=identity,
            account_id=gift.account_id,
            kind=MovementKind.GIFT_REVOCATION,
            act=Undo(gift.gift_id, shortfall=Shortfall.ONLY_WHAT_IS_LEFT),
            note=self.reason,
            occurred_at=self.occurred_at,
        )


def gift_not_found(gift_id: TransactionId) -> GiftNotFound:
    """The answer for a gift that is not there."""
    return GiftNotFound(f"there is no gift {gift_id}", gift_id=gift_id)


def gift_used_up(gift_id: TransactionId) -> GiftUsedUp:
    """The answer to taking back what is gone."""
    return GiftUsedUp(f"nothing is left of gift {gift_id}", gift_id=gift_id)
