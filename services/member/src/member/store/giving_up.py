"""Points that a member gives up by leaving its program."""

from datetime import datetime

from ledger import EXPIRED, Entry, Post, Source
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.kinds import PointsKind
from member.domain.membership import GiveUp
from member.store.postings import BOOKS, points_account


async def post_give_up(connection: AsyncConnection, give_up: GiveUp, *, recorded_at: datetime) -> None:
    """Take the points off the account, as if their life had ended; InsufficientBalance where fewer are left."""
    posting = Post(
        source=Source(give_up.transaction_id),
        kind=PointsKind.GIVE_UP,
        occurred_at=give_up.occurred_at,
        entries=(Entry(points_account(give_up.member_id), -give_up.points), Entry(EXPIRED, give_up.points)),
    )
    await BOOKS.post_one(connection, posting, recorded_at=recorded_at)
