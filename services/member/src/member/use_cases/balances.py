"""Read a member's points: the balance at an instant, what expires next, the entries, and a month of them."""

from collections import Counter
from datetime import datetime, timedelta

from chassis.calendar import Span
from chassis.errors import InvalidArgument
from chassis.paging import Page
from ledger import EVERY_ENTRY, EntryFilter, EntryRecord

from member.domain.membership import Holder, Member, MemberNotFound
from member.domain.points import PointsBalance
from member.domain.statement import EntryClass, Statement, class_of
from member.store import Connection, members, points

_INSTANT = timedelta(microseconds=1)


async def get_balance(
    connection: Connection, holder: Holder, *, as_of: datetime | None
) -> tuple[PointsBalance, list[tuple[datetime, int]]]:
    """The points at an instant, or as last booked where none is given, and what is left now and expires next after
    it: instants and points, soonest first."""
    member = await _member(connection, holder)
    if as_of is None:
        balance = await points.balance_booked(connection, member.member_id)
    else:
        balance = await points.balance_at(connection, member.member_id, as_of)
    expiring: Counter[datetime] = Counter()
    for lot in await points.open_lots(connection, member.member_id):
        if lot.expires_at is not None and (as_of is None or lot.expires_at > as_of):
            expiring[lot.expires_at] += lot.remaining
    return balance, sorted(expiring.items())


async def list_entries(
    connection: Connection, holder: Holder, page: Page, *, among: EntryFilter = EVERY_ENTRY
) -> list[EntryRecord]:
    """Entries, newest first, one more than the page holds where there are more."""
    if page.after is not None and not (page.after.isascii() and page.after.isdigit() and len(page.after) < 19):
        raise InvalidArgument("page_token", "is not a token that a list call returned")
    member = await _member(connection, holder)
    before = None if page.after is None else int(page.after)
    return await points.list_entries(connection, member.member_id, before=before, limit=page.wanted, among=among)


async def get_statement(connection: Connection, holder: Holder, month: Span) -> Statement:
    """A month of the member's points. What expires in it counts as expired, whether it is booked yet or not."""
    member_id = (await _member(connection, holder)).member_id
    opening = await points.balance_at(connection, member_id, month.start - _INSTANT)
    closing = await points.balance_at(connection, member_id, month.end - _INSTANT)
    sums = await points.sums_by_kind(connection, member_id, month)
    not_booked = [
        await points.booked_before(connection, member_id, instant) - balance.balance
        for instant, balance in ((month.start, opening), (month.end, closing))
    ]
    total = dict.fromkeys(EntryClass, 0)
    for kind, change in sums.items():
        total[class_of(kind)] += change
    return Statement(
        member_id,
        month,
        opening=opening.balance,
        earned=total[EntryClass.EARNED],
        spent=-total[EntryClass.SPENT],
        expired=not_booked[1] - not_booked[0] - total[EntryClass.EXPIRED],
        reversed=total[EntryClass.REVERSED],
        transferred=total[EntryClass.TRANSFERRED],
        closing=closing.balance,
    )


async def _member(connection: Connection, holder: Holder) -> Member:
    member = await members.find_member(connection, holder)
    if member is None:
        raise MemberNotFound(holder)
    return member
