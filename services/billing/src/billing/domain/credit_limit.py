"""Credit limits: how far a balance may go below zero."""

from dataclasses import dataclass
from datetime import datetime

from chassis.money import Money

from billing.domain.ids import AccountId
from billing.domain.movement import Limit, Movement, MovementKind, check_occurred_at


@dataclass(frozen=True, slots=True, kw_only=True)
class SetCreditLimit:
    """Wish to set a credit limit; 0 or more."""

    account_id: AccountId
    credit_limit: Money
    reason: str
    occurred_at: datetime

    def __post_init__(self) -> None:
        self.credit_limit.not_negative("credit_limit")
        check_occurred_at(self.occurred_at)

    def movement(self, identity: str) -> Movement:
        """The movement that does it; `identity` is its own."""
        return Movement(
            identity=identity,
            account_id=self.account_id,
            kind=MovementKind.CREDIT_LIMIT,
            act=Limit(self.credit_limit),
            note=self.reason,
            occurred_at=self.occurred_at,
        )
