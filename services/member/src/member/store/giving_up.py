"""Points that a member gives up by leaving its program."""

from datetime import datetime

from ledger import EXPIRED, Entry, Post, Source
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.kinds import PointsKind
from member.domain.membership import MemberId
from member.store.postings import BOOKS, points_account


async def post_give_up(
    connection: AsyncConnection,
    member_id: MemberId,
    points: int,
    *,
    source: str,
    occurred_at: datetime,
    recorded_at: datetime,
) -> None:
    """Take the points off the account, as if their life had ended; InsufficientBalance where fewer are left."""
    entries = (Entry(points_account(member_id), -points), Entry(EXPIRED, points))
    posting = Post(source=Source(source), kind=PointsKind.GIVE_UP, occurred_at=occurred_at, entries=entries)
    await BOOKS.post_one(connection, posting, recorded_at=recorded_at)
