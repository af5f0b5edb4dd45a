"""Touchpoints and the policy, as stored."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from touchpoint.domain.identity import TouchpointCode
from touchpoint.domain.policy import ContactPolicy
from touchpoint.domain.touchpoint import Touchpoint, TouchpointClass
from touchpoint.store.tables import contact_policy, touchpoints

_TOUCHPOINT = [column for column in touchpoints.c if column is not touchpoints.c.recorded_at]


async def load_touchpoints(
    connection: AsyncConnection, codes: Iterable[TouchpointCode]
) -> dict[TouchpointCode, Touchpoint]:
    """The touchpoints among these codes; unknown codes are absent."""
    rows = await connection.execute(select(*_TOUCHPOINT).where(touchpoints.c.code.in_(set(codes))))
    return {TouchpointCode(row.code): _touchpoint(row) for row in rows}


async def load_touchpoint_of_id_for_update(
    connection: AsyncConnection, code: TouchpointCode, touchpoint_id: str
) -> list[Touchpoint]:
    """Those stored under the code or under the identifier, locked."""
    same = (touchpoints.c.code == code) | (touchpoints.c.touchpoint_id == touchpoint_id)
    rows = await connection.execute(select(*_TOUCHPOINT).where(same).order_by(touchpoints.c.code).with_for_update())
    return [_touchpoint(row) for row in rows]


async def save_touchpoint(connection: AsyncConnection, touchpoint: Touchpoint, recorded_at: datetime) -> None:
    """Adds it, or puts it in place of what its code named."""
    values = {column.name: getattr(touchpoint, column.name) for column in _TOUCHPOINT}
    values |= {"delivery_ways": list(touchpoint.delivery_ways), "recorded_at": recorded_at}
    await connection.execute(
        insert(touchpoints).values(values).on_conflict_do_update(index_elements=["code"], set_=values)
    )


async def list_touchpoints(connection: AsyncConnection, size: int, after: str | None) -> list[Touchpoint]:
    """A page by code."""
    query = select(*_TOUCHPOINT).order_by(touchpoints.c.code).limit(size)
    if after is not None:
        query = query.where(touchpoints.c.code > after)
    return [_touchpoint(row) for row in await connection.execute(query)]


async def load_policy(connection: AsyncConnection) -> ContactPolicy:
    """The policy that holds."""
    columns = contact_policy.c
    row = (await connection.execute(select(columns.contacts_max, columns.window_days, columns.cool_off_days))).one()
    return ContactPolicy(row.contacts_max, row.window_days, row.cool_off_days)


async def save_policy(connection: AsyncConnection, policy: ContactPolicy, recorded_at: datetime) -> None:
    """Puts the policy in place of the one before."""
    values = {
        "only": True,
        "contacts_max": policy.contacts_max,
        "window_days": policy.window_days,
        "cool_off_days": policy.cool_off_days,
        "recorded_at": recorded_at,
    }
    await connection.execute(
        insert(contact_policy).values(values).on_conflict_do_update(index_elements=["only"], set_=values)
    )


def _touchpoint(row: Row[tuple[object, ...]]) -> Touchpoint:
    return Touchpoint(
        code=TouchpointCode(row.code),
        touchpoint_id=row.touchpoint_id,
        touchpoint_class=TouchpointClass(row.touchpoint_class),
        name_en=row.name_en,
        name_zh=row.name_zh,
        inbound=row.inbound,
        outbound=row.outbound,
        delivery_ways=tuple(row.delivery_ways),
        preferred_way=row.preferred_way,
    )
