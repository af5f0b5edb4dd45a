"""Points in the ledger: one account per membership, `points:<member id>`, and the sides they come from and go to."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from chassis.calendar import Span
from chassis.errors import Refusal
from ledger import (
    EVERY_ENTRY,
    LOT_EXPIRY,
    Asset,
    EntryFilter,
    EntryRecord,
    Line,
    NewAccount,
    OpenLot,
    Posted,
    Proof,
    Reverse,
)
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.membership import MemberId
from member.domain.points import ASSET, ExpiredShare, Grant, PointsBalance, UnrewardedPayment
from member.store.postings import BOOKS, grant_posting, member_of_account, points_account
from member.store.tables import LEDGER

_SUMS_BY_KIND = text("""
    SELECT done.kind, sum(entry.amount)::bigint AS points FROM ledger_entries AS entry
    JOIN ledger_transactions AS done ON done.source = entry.source
    WHERE entry.account_id = :account AND entry.account_version IS NOT NULL
        AND entry.occurred_at >= :start AND entry.occurred_at < :end
    GROUP BY done.kind
""")

_BOOKED_BEFORE = text("""
    SELECT coalesce(sum(amount), 0)::bigint FROM ledger_entries
    WHERE account_id = :account AND account_version IS NOT NULL AND occurred_at < :instant
""")

_INSERT_UNREWARDED = text("""
    INSERT INTO unrewarded_payments (source, customer_id, kind, occurred_at, cause, recorded_at)
    SELECT skipped.source, skipped.customer_id, skipped.kind, skipped.occurred_at, skipped.cause, :recorded_at
    FROM unnest(CAST(:sources AS text[]), CAST(:customers AS text[]), CAST(:kinds AS text[]),
                CAST(:instants AS timestamptz[]), CAST(:causes AS text[]))
        AS skipped(source, customer_id, kind, occurred_at, cause)
    ORDER BY skipped.source
    ON CONFLICT (source) DO NOTHING
""")


class ExpiryRound(NamedTuple):
    """What one round of booking expiries came to: accounts touched, also by a hold that ended, and points gone."""

    accounts: int
    expired: list[ExpiredShare]


async def open_accounts(connection: AsyncConnection, ids: Sequence[MemberId], *, opened_at: datetime) -> None:
    """Open the accounts of new members."""
    if ids:
        accounts = [NewAccount(points_account(member_id), Asset(ASSET)) for member_id in ids]
        await BOOKS.open_accounts(connection, accounts, opened_at=opened_at)


async def post_grants(
    connection: AsyncConnection, grants: Sequence[Grant], *, recorded_at: datetime
) -> list[Posted | Refusal]:
    """Book points given, each grant with its own outcome; SourceReused for one that was given before."""
    return await BOOKS.post(connection, [grant_posting(grant) for grant in grants], recorded_at=recorded_at)


async def post_take_backs(
    connection: AsyncConnection, reversals: Sequence[Reverse], *, recorded_at: datetime
) -> list[Posted]:
    """Undo parts of what was given; raises what the first is refused with that is."""
    posted: list[Posted] = []
    for outcome in await BOOKS.post(connection, reversals, recorded_at=recorded_at):
        if isinstance(outcome, Refusal):
            raise outcome
        posted.append(outcome)
    return posted


async def post_expiries(
    connection: AsyncConnection, as_of: datetime, *, recorded_at: datetime, limit: int
) -> ExpiryRound:
    """Book the oldest expiries that came by `as_of`."""
    round_ = await BOOKS.expire_due(connection, as_of, recorded_at=recorded_at, limit=limit)
    touched = {line.account for posted in round_.posted for line in posted.lines}
    return ExpiryRound(len(touched), expired_shares(round_.posted))


def expired_shares(posted: Collection[Posted]) -> list[ExpiredShare]:
    """Points whose end was booked by these transactions or around them."""
    everything = [each for one in posted for each in (one, *one.settled)]
    return [
        ExpiredShare(
            member_of_account(line.account), -line.amount, each.occurred_at, line.balance_after, line.account_version
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
    if len(posted.lines) == 1 and not posted.settled:
        return _balance(posted.lines[0])
    (balance,) = balances_after(posted).values()
    return balance


def balances_after(posted: Posted) -> dict[MemberId, PointsBalance]:
    """The points of each member of the transaction when it and the expiries around it are booked."""
    lines = [line for each in (posted, *posted.settled) for line in each.lines]
    last = {line.account: line for line in sorted(lines, key=lambda line: line.account_version)}
    return {member_of_account(line.account): _balance(last[line.account]) for line in posted.lines}


def moved(posted: Posted) -> dict[MemberId, int]:
    """By how many points the transaction moved each of its members, in the order of their first steps."""
    return {balance.member_id: amount for balance, amount in last_steps(posted)}


def last_steps(posted: Posted) -> list[tuple[PointsBalance, int]]:
    """Each member's points after its last step of the transaction, and how many all its steps moved."""
    last = {line.account: line for line in posted.lines}
    return [
        (_balance(line), sum(each.amount for each in posted.lines if each.account == account))
        for account, line in last.items()
    ]


async def find_hold_members(connection: AsyncConnection, ids: Collection[str]) -> dict[str, MemberId]:
    """Whose holds they are, as far as they exist."""
    holds = LEDGER.holds
    found = await connection.execute(select(holds.c.id, holds.c.account_id).where(holds.c.id.in_(ids)))
    return {row.id: member_of_account(row.account_id) for row in found}


async def balance_booked(connection: AsyncConnection, member_id: MemberId) -> PointsBalance:
    """The points as last booked, whatever the time."""
    accounts = LEDGER.accounts
    row = (await connection.execute(select(accounts).where(accounts.c.id == points_account(member_id)))).one()
    return PointsBalance(member_id, row.balance, row.held, row.version)


async def balance_at(connection: AsyncConnection, member_id: MemberId, as_of: datetime) -> PointsBalance:
    """The points at an instant, past or future, with what will have expired by then taken off."""
    found = await BOOKS.balance(connection, points_account(member_id), as_of)
    return PointsBalance(member_id, found.balance, found.held, found.account_version)


async def balances_of(
    connection: AsyncConnection, ids: Sequence[MemberId], *, as_of: datetime | None
) -> dict[MemberId, PointsBalance]:
    """The points of many at an instant, or as last booked where none is given."""
    if as_of is not None:
        found = await BOOKS.balances(connection, [points_account(each) for each in ids], as_of)
        rows = [(each.account, each.balance, each.held, each.account_version) for each in found.values()]
    else:
        kept = LEDGER.accounts.c
        asked = select(kept.id, kept.balance, kept.held, kept.version)
        wanted = [points_account(each) for each in ids]
        rows = [tuple(row) for row in await connection.execute(asked.where(kept.id.in_(wanted)))]
    return {member_of_account(account): PointsBalance(member_of_account(account), *rest) for account, *rest in rows}


async def open_lots(connection: AsyncConnection, member_id: MemberId) -> list[OpenLot]:
    """What is left of each grant."""
    return await BOOKS.lots(connection, points_account(member_id))


async def list_entries(
    connection: AsyncConnection,
    member_id: MemberId,
    *,
    before: int | None,
    limit: int,
    among: EntryFilter = EVERY_ENTRY,
) -> list[EntryRecord]:
    """The member's entries, newest first, from below the version `before`."""
    return await BOOKS.entries(connection, points_account(member_id), before=before, limit=limit, among=among)


async def sums_by_kind(connection: AsyncConnection, member_id: MemberId, during: Span) -> dict[str, int]:
    """By how many points the entries of each kind moved the member's balance in a span of business time."""
    asked = {"account": points_account(member_id), "start": during.start, "end": during.end}
    return {row.kind: row.points for row in await connection.execute(_SUMS_BY_KIND, asked)}


async def booked_before(connection: AsyncConnection, member_id: MemberId, instant: datetime) -> int:
    """The sum of the member's entries before an instant, without what expired by then and is not booked yet."""
    asked = {"account": points_account(member_id), "instant": instant}
    return int((await connection.execute(_BOOKED_BEFORE, asked)).scalar_one())


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
            "causes": [payment.cause.value for payment in payments],
            "recorded_at": recorded_at,
        },
    )


async def prove(connection: AsyncConnection) -> Proof:
    """Every rule of the ledger, asked of its tables."""
    return await BOOKS.prove(connection)


def _balance(line: Line) -> PointsBalance:
    return PointsBalance(member_of_account(line.account), line.balance_after, line.held_after, line.account_version)
