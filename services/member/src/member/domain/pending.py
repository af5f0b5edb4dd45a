"""Points between earned and kept: those that still cool, and payments that are given back."""

from dataclasses import dataclass
from datetime import datetime

from member.domain.kinds import PointsKind
from member.domain.membership import MemberId


@dataclass(frozen=True, slots=True)
class PendingPoints:
    """Points that wait until `ripens_at`, when they are booked as `transaction_id`; `cancelled` of them never will be.
    `source` is what earned them; `rule_id` and `parts` are those of the entry to come."""

    source: str
    transaction_id: str
    member_id: MemberId
    kind: PointsKind
    reason: str
    rule_id: str
    parts: str
    points: int
    earned_at: datetime
    ripens_at: datetime
    expires_at: datetime | None
    cancelled: int = 0

    @property
    def left(self) -> int:
        """What will become the member's."""
        return self.points - self.cancelled


@dataclass(frozen=True, slots=True)
class Refund:
    """So much of a payment was given back; `source` names the payment as it was rewarded, `refund_id` this refund."""

    refund_id: str
    source: str
    paid_minor: int
    refunded_minor: int
    occurred_at: datetime
