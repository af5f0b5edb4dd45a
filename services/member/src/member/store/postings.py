"""Points as accounts and commands of the ledger: which account a member has, and what each movement asks for.

Pure, so that the rules can be played without a database.
"""

from chassis.errors import InvalidArgument, Refusal
from ledger import (
    AccountId,
    CaptureExceedsHold,
    ConfirmHold,
    Draw,
    Entry,
    HoldId,
    InsufficientBalance,
    Ledger,
    LotTerms,
    MakeHold,
    Post,
    ReleaseHold,
    Reverse,
    Shortfall,
    Source,
)

from member.domain.kinds import PointsKind
from member.domain.membership import MemberId
from member.domain.points import Grant, Hold, HoldEnd
from member.domain.spending import Reversal, ReversalShortfall, Spend, Transfer

ACCOUNT_PREFIX = "points:"
ISSUED = AccountId("issued")
REDEEMED = AccountId("redeemed")
BOOKS = Ledger((ISSUED, REDEEMED))

_SHORTFALLS = {
    ReversalShortfall.ONLY_WHAT_IS_LEFT: Shortfall.ONLY_WHAT_IS_LEFT,
    ReversalShortfall.DOWN_TO_ZERO: Shortfall.DOWN_TO_FLOOR,
    ReversalShortfall.NEGATIVE: Shortfall.OWE,
}


def points_account(member_id: MemberId) -> AccountId:
    """The member's account in the ledger."""
    return AccountId(ACCOUNT_PREFIX + member_id)


def member_of_account(account: str) -> MemberId:
    """Whose account in the ledger it is."""
    return MemberId(account.removeprefix(ACCOUNT_PREFIX))


def grant_posting(grant: Grant) -> Post:
    """Points given, to each membership as a lot of its own."""
    given = [Entry(points_account(share.member_id), share.points, LotTerms(share.expires_at)) for share in grant.shares]
    rule = {"rule": grant.rule_id} if grant.rule_id else {}
    parts = {"parts": grant.parts} if grant.parts else {}
    return Post(
        source=Source(grant.transaction_id),
        kind=grant.kind,
        occurred_at=grant.occurred_at,
        metadata={"reason": grant.reason, **rule, **parts},
        entries=(Entry(ISSUED, -sum(share.points for share in grant.shares)), *given),
    )


def hold_posting(hold: Hold) -> MakeHold:
    """Points set aside."""
    return MakeHold(
        source=Source(hold.hold_id),
        kind=PointsKind.HOLD,
        occurred_at=hold.occurred_at,
        metadata={"reason": hold.reason},
        account=points_account(hold.member_id),
        amount=hold.points,
        expires_at=hold.expires_at,
    )


def confirmation_posting(end: HoldEnd, points: int | None) -> ConfirmHold:
    """Points of a hold spent, all of them where `points` is None."""
    return ConfirmHold(
        source=Source(end.transaction_id),
        kind=PointsKind.REDEEM,
        occurred_at=end.occurred_at,
        hold=HoldId(end.hold_id),
        to=REDEEMED,
        amount=points,
    )


def release_posting(end: HoldEnd) -> ReleaseHold:
    """The points of a hold freed."""
    return ReleaseHold(
        source=Source(end.transaction_id),
        kind=PointsKind.RELEASE,
        occurred_at=end.occurred_at,
        hold=HoldId(end.hold_id),
    )


def spend_posting(spend: Spend) -> Draw:
    """Points spent by memberships in their order."""
    reference = {"reference": spend.reference} if spend.reference else {}
    money: dict[str, str | int] = {}
    if spend.cash_off is not None:
        money = {"cash_off_minor": spend.cash_off.minor_units, "currency": spend.cash_off.currency}
    return Draw(
        source=Source(spend.transaction_id),
        kind=PointsKind.REDEEM,
        occurred_at=spend.occurred_at,
        metadata={"reason": spend.reason, "purpose": spend.purpose.value, **reference, **money},
        payers=tuple(points_account(payer) for payer in spend.payers),
        to=REDEEMED,
        amount=spend.points,
    )


def reversal_posting(reversal: Reversal) -> Reverse:
    """A transaction undone."""
    return Reverse(
        source=Source(reversal.transaction_id),
        kind=PointsKind.REVERSAL,
        occurred_at=reversal.occurred_at,
        metadata={"reason": reversal.reason},
        of=Source(reversal.of),
        amount=reversal.points,
        shortfall=_SHORTFALLS[reversal.shortfall],
        regrant_for=reversal.regrant_for,
        most_owed=reversal.most_owed,
    )


def transfer_posting(transfer: Transfer) -> Draw:
    """Points moved from one membership to another, each lot with its terms."""
    return Draw(
        source=Source(transfer.transaction_id),
        kind=PointsKind.TRANSFER,
        occurred_at=transfer.occurred_at,
        metadata={"reason": transfer.reason},
        payers=(points_account(transfer.giver),),
        to=points_account(transfer.receiver),
        amount=transfer.points,
    )


def in_points(refusal: Refusal) -> Refusal:
    """What the ledger refuses, in the words of who spends points: no account of the ledger is named."""
    match refusal:
        case InsufficientBalance():
            available, asked = refusal.metadata["available"], refusal.metadata["asked"]
            return InsufficientBalance(
                f"{available} points are available, {asked} were asked for", available=available, asked=asked
            )
        case CaptureExceedsHold():
            held = refusal.metadata["held"]
            return CaptureExceedsHold(f"the hold is of {held} points", hold=refusal.metadata["hold"], held=held)
        case InvalidArgument():
            return InvalidArgument.many(
                [violation.__class__("points", violation.description) for violation in refusal.violations]
            )
        case _:
            return refusal
