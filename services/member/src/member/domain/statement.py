"""A month of a member's points, and the classes in which its entries are told."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from chassis.calendar import Span

from member.domain.kinds import EARNED, PointsKind
from member.domain.membership import MemberId


class EntryClass(StrEnum):
    """What sort of movement an entry is; a hold and its end move nothing."""

    EARNED = "earned"
    SPENT = "spent"
    EXPIRED = "expired"
    REVERSED = "reversed"
    TRANSFERRED = "transferred"
    HELD = "held"


_CLASSES: Mapping[str, EntryClass] = {
    **dict.fromkeys(EARNED, EntryClass.EARNED),
    PointsKind.REDEEM: EntryClass.SPENT,
    PointsKind.REVERSAL: EntryClass.REVERSED,
    PointsKind.TAKE_BACK: EntryClass.REVERSED,
    PointsKind.TRANSFER: EntryClass.TRANSFERRED,
    PointsKind.GIVE_UP: EntryClass.EXPIRED,
    PointsKind.HOLD: EntryClass.HELD,
    PointsKind.RELEASE: EntryClass.HELD,
    "lot_expiry": EntryClass.EXPIRED,
    "hold_expiry": EntryClass.HELD,
}


def class_of(kind: str) -> EntryClass:
    """The class of a kind of entry."""
    return _CLASSES[kind]


def kinds_of(classes: frozenset[EntryClass]) -> list[str]:
    """The kinds of entries in these classes."""
    return [str(kind) for kind, each in _CLASSES.items() if each in classes]


@dataclass(frozen=True, slots=True)
class Statement:
    """opening + earned - spent - expired + reversed + transferred = closing; the last two are less than 0 where points
    went."""

    member_id: MemberId
    month: Span
    opening: int
    earned: int
    spent: int
    expired: int
    reversed: int
    transferred: int
    closing: int
