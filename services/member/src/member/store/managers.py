"""Managers of customers: who it is now stands with the customer, who it was in the history."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.customer import CustomerId, ManagerId
from member.domain.manager import Assignment
from member.store.customer_tables import manager_history

_LAST = text("""
    SELECT DISTINCT ON (customer_id) * FROM manager_history
    WHERE customer_id = ANY(CAST(:ids AS text[]))
    ORDER BY customer_id, revision DESC
""")

_INSERT = text("""
    WITH noted AS (
        INSERT INTO manager_history (customer_id, revision, manager_id, occurred_at, assigned_by, recorded_at)
        SELECT new.customer_id, new.revision, new.manager_id, new.occurred_at, new.assigned_by, :recorded_at
        FROM unnest(CAST(:ids AS text[]), CAST(:revisions AS bigint[]), CAST(:managers AS text[]),
                    CAST(:instants AS timestamptz[]), CAST(:assigners AS text[]))
            AS new(customer_id, revision, manager_id, occurred_at, assigned_by)
        RETURNING customer_id, revision, manager_id
    ), last AS (
        SELECT DISTINCT ON (customer_id) customer_id, manager_id FROM noted ORDER BY customer_id, revision DESC
    )
    UPDATE customers SET manager_id = nullif(last.manager_id, '') FROM last
    WHERE customers.customer_id = last.customer_id
""")


async def last_assignments(connection: AsyncConnection, ids: Collection[CustomerId]) -> dict[CustomerId, Assignment]:
    """The last assignment of each customer that ever had one; the caller holds the lock on the customers."""
    found = [_assignment(row) for row in await connection.execute(_LAST, {"ids": list(ids)})]
    return {each.customer_id: each for each in found}


async def insert_assignments(connection: AsyncConnection, new: Sequence[Assignment], *, recorded_at: datetime) -> None:
    """Write assignments, and who it is now."""
    if not new:
        return
    await connection.execute(
        _INSERT,
        {
            "ids": [each.customer_id for each in new],
            "revisions": [each.revision for each in new],
            "managers": [each.manager_id or "" for each in new],
            "instants": [each.occurred_at for each in new],
            "assigners": [each.assigned_by for each in new],
            "recorded_at": recorded_at,
        },
    )


async def list_assignments(
    connection: AsyncConnection, customer_id: CustomerId, *, before: int | None, limit: int
) -> list[Assignment]:
    """The customer's managers, newest first, from below the number `before`."""
    query = select(manager_history).where(manager_history.c.customer_id == customer_id)
    if before is not None:
        query = query.where(manager_history.c.revision < before)
    found = await connection.execute(query.order_by(manager_history.c.revision.desc()).limit(limit))
    return [_assignment(row) for row in found]


def _assignment(row: Row[Any]) -> Assignment:
    return Assignment(
        CustomerId(row.customer_id),
        ManagerId(row.manager_id) if row.manager_id else None,
        row.occurred_at,
        row.assigned_by,
        row.revision,
        row.recorded_at,
    )
