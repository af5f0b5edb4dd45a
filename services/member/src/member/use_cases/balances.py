"""Read a member's points: the balance at an instant, what expires next, and the entries."""

from collections import Counter
from datetime import datetime

from chassis.errors import InvalidArgument
from chassis.paging import Page
from ledger import EntryRecord

from member.domain.membership import Holder, Member, MemberNotFound
from member.domain.points import PointsBalance
from member.store import Connection, members, points

EXPIRIES_SHOWN = 10


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
    return balance, sorted(expiring.items())[:EXPIRIES_SHOWN]


async def list_entries(connection: Connection, holder: Holder, page: Page) -> list[EntryRecord]:
    """Entries, newest first, one more than the page holds where there are more."""
    if page.after is not None and not (page.after.isascii() and page.after.isdigit() and len(page.after) < 19):
        raise InvalidArgument("page_token", "is not a token that a list call returned")
    member = await _member(connection, holder)
    before = None if page.after is None else int(page.after)
    return await points.list_entries(connection, member.member_id, before=before, limit=page.wanted)


async def _member(connection: Connection, holder: Holder) -> Member:
    member = await members.find_member(connection, holder)
    if member is None:
        raise MemberNotFound(holder)
    return member
