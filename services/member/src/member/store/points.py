"""Points in the ledger: one account per membership, `points:<member id>`, and the sides they come from and go to."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from chassis.errors import Refusal
from ledger import (
    LOT_EXPIRY,
    AccountId,
    AnyCommand,
    Asset,
    ConfirmHold,
    Entry,
    EntryRecord,
    HoldId,
    Ledger,
    Line,
    LotTerms,
    MakeHold,
    NewAccount,
    OpenLot,
    Post,
    Posted,
    Proof,
    ReleaseHold,
    Source,
)
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.membership import MemberId
from member.domain.points import ASSET, ExpiredShare, Grant, Hold, HoldEnd, PointsBalance, PointsKind, UnrewardedPayment
from member.store.tables import LEDGER

ACCOUNT_PREFIX = "points:"
_ISSUED = AccountId("issued")
_REDEEMED = AccountId("redeemed")
_LEDGER = Ledger((_ISSUED, _REDEEMED))

_INSERT_UNREWARDED = text("""
    INSERT INTO unrewarded_payments (source, customer_id, kind, occurred_at, recorded_at)
    SELECT skipped.source, skipped.customer_id, skipped.kind, skipped.occurred_at, :recorded_at
    FROM unnest(CAST(:sources AS text[]), CAST(:customers AS text[]), CAST(:kinds AS text[]),
                CAST(:instants AS timestamptz[])) AS skipped(source, customer_id, kind, occurred_at)
    ORDER BY skipped.source
    ON CONFLICT (source) DO NOTHING
""")


class ExpiryRound(NamedTuple):
    """What one round of booking expiries came to: accounts touched, also by a hold that ended, and points gone."""

    accounts: int
    expired: list[ExpiredShare]


def points_account(member_id: MemberId) -> AccountId:
    """The member's account in the ledger."""
    return AccountId(ACCOUNT_PREFIX + member_id)


async def open_accounts(connection: AsyncConnection, ids: Sequence[MemberId], *, opened_at: datetime) -> None:
    """Open the accounts of new members."""
    if ids:
        accounts = [NewAccount(points_account(member_id), Asset(ASSET)) for member_id in ids]
        await _LEDGER.open_accounts(connection, accounts, opened_at=opened_at)


async def post_grants(
    connection: AsyncConnection, grants: Sequence[Grant], *, recorded_at: datetime
) -> list[Posted | Refusal]:
    """Book points given, each grant with its own outcome; SourceReused for one that was given before."""
    return await _LEDGER.post(connection, [_post(grant) for grant in grants], recorded_at=recorded_at)


async def post_hold(connection: AsyncConnection, hold: Hold, *, recorded_at: datetime) -> Posted:
    """Set points aside; InsufficientBalance where fewer are free."""
    command = MakeHold(
        source=Source(hold.hold_id),
        kind=PointsKind.HOLD,
        occurred_at=hold.occurred_at,
        metadata={"reason": hold.reason},
        account=points_account(hold.member_id),
        amount=hold.points,
        expires_at=hold.expires_at,
    )
    return await _post_one(connection, command, recorded_at)


async def post_confirmation(
    connection: AsyncConnection, end: HoldEnd, points: int | None, *, recorded_at: datetime
) -> Posted:
    """Spend points of a hold, all of them where `points` is None, and free the rest."""
    command = ConfirmHold(
        source=Source(end.transaction_id),
        kind=PointsKind.REDEEM,
        occurred_at=end.occurred_at,
        hold=HoldId(end.hold_id),
        to=_REDEEMED,
        amount=points,
    )
    return await _post_one(connection, command, recorded_at)


async def post_release(connection: AsyncConnection, end: HoldEnd, *, recorded_at: datetime) -> Posted:
    """Free the points of a hold."""
    command = ReleaseHold(
        source=Source(end.transaction_id),
        kind=PointsKind.RELEASE,
        occurred_at=end.occurred_at,
        hold=HoldId(end.hold_id),
    )
    return await _post_one(connection, command, recorded_at)


async def post_expiries(
    connection: AsyncConnection, as_of: datetime, *, recorded_at: datetime, limit: int
) -> ExpiryRound:
    """Book the oldest expiries that came by `as_of`."""
    round_ = await _LEDGER.expire_due(connection, as_of, recorded_at=recorded_at, limit=limit)
    touched = {line.account for posted in round_.posted for line in posted.lines}
    return ExpiryRound(len(touched), expired_shares(round_.posted))


def expired_shares(posted: Collection[Posted]) -> list[ExpiredShare]:
    """Points whose end was booked by these transactions or around them."""
    everything = [each for one in posted for each in (one, *one.settled)]
    return [
        ExpiredShare(
            _member_id(line.account), -line.amount, each.occurred_at, line.balance_after, line.account_version
        )
        for each in everything
        if each.kind == LOT_EXPIRY
        for line in each.lines
    ]


def steps(posted: Posted) -> list[tuple[PointsBalance, int]]:
    """Each member's points after its step of the transaction, and how many the step moved."""
    return [(_balance(line), line.amount) for line in posted.lines]


def balance_after(posted: Posted) -> PointsBalance:
    """The member's points when the transaction and the expiries around it are booked; it has one member."""
    lines = [line for each in (posted, *posted.settled) for line in each.lines]
    return _balance(max(lines, key=lambda line: line.account_version))


async def find_hold_member(connection: AsyncConnection, hold_id: str) -> MemberId | None:
    """Whose hold it is, or None."""
    holds = LEDGER.holds
    found = (await connection.execute(select(holds.c.account_id).where(holds.c.id == hold_id))).scalar_one_or_none()
    return None if found is None else _member_id(found)


async def balance_booked(connection: AsyncConnection, member_id: MemberId) -> PointsBalance:
    """The points as last booked, whatever the time."""
    accounts = LEDGER.accounts
    row = (await connection.execute(select(accounts).where(accounts.c.id == points_account(member_id)))).one()
    return PointsBalance(member_id, row.balance, row.held, row.version)


async def balance_at(connection: AsyncConnection, member_id: MemberId, as_of: datetime) -> PointsBalance:
    """The points at an instant, past or future, with what will have expired by then taken off."""
    found = await _LEDGER.balance(connection, points_account(member_id), as_of)
    return PointsBalance(member_id, found.balance, found.held, found.account_version)


async def open_lots(connection: AsyncConnection, member_id: MemberId) -> list[OpenLot]:
    """What is left of each grant."""
    return await _LEDGER.lots(connection, points_account(member_id))


async def list_entries(
    connection: AsyncConnection, member_id: MemberId, *, before: int | None, limit: int
) -> list[EntryRecord]:
    """The member's entries, newest first, from below the version `before`."""
    return await _LEDGER.entries(connection, points_account(member_id), before=before, limit=limit)


async def insert_unrewarded(
    connection: AsyncConnection, payments: Sequence[UnrewardedPayment], *, recorded_at: datetime
) -> None:
    """Note payments that gave no points."""
    if not payments:
        return
    await connection.execute(
        _INSERT_UNREWARDED,
        {
            "sources": [payment.source for payment in payments],
            "customers": [payment.customer_id for payment in payments],
            "kinds": [payment.kind.value for payment in payments],
            "instants": [payment.occurred_at for payment in payments],
            "recorded_at": recorded_at,
        },
    )


async def prove(connection: AsyncConnection) -> Proof:
    """Every rule of the ledger, asked of its tables."""
    return await _LEDGER.prove(connection)


async def _post_one(connection: AsyncConnection, command: AnyCommand, recorded_at: datetime) -> Posted:
    return await _LEDGER.post_one(connection, command, recorded_at=recorded_at)


def _post(grant: Grant) -> Post:
    given = [Entry(points_account(share.member_id), share.points, LotTerms(share.expires_at)) for share in grant.shares]
    return Post(
        source=Source(grant.transaction_id),
        kind=grant.kind,
        occurred_at=grant.occurred_at,
        metadata={"reason": grant.reason, "rule": grant.rule_id} if grant.rule_id else {"reason": grant.reason},
        entries=(Entry(_ISSUED, -sum(share.points for share in grant.shares)), *given),
    )


def _balance(line: Line) -> PointsBalance:
    return PointsBalance(_member_id(line.account), line.balance_after, line.held_after, line.account_version)


def _member_id(account: str) -> MemberId:
    return MemberId(account.removeprefix(ACCOUNT_PREFIX))
