"""Read the points of a member that have yet to ripen."""

from datetime import datetime

from chassis.paging import Page

from member.domain.membership import Holder, MemberNotFound
from member.domain.pending import PendingPoints
from member.store import Connection, earning, members


async def list_pending(connection: Connection, holder: Holder, page: Page) -> list[PendingPoints]:
    """The member's points that wait, the next to ripen first, one more than the page holds where there are more."""
    waiting = sorted(await pending_at(connection, holder, as_of=None), key=page_key)
    return [each for each in waiting if page.after is None or page_key(each) > page.after][: page.wanted]


async def pending_at(connection: Connection, holder: Holder, *, as_of: datetime | None) -> list[PendingPoints]:
    """The member's points that wait, or waited at an instant, the next to ripen first; MemberNotFound."""
    member = await members.find_member(connection, holder)
    if member is None:
        raise MemberNotFound(holder)
    return await earning.list_pending(connection, member.member_id, as_of=as_of)


def page_key(pending: PendingPoints) -> str:
    """Where points stand in the list."""
    return f"{pending.ripens_at.isoformat()}/{pending.transaction_id}"
