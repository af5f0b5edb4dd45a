"""Issue jobs: lists of customers who are to get a coupon each, and how far that is."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.coupon_template import TemplateId
from member.domain.customer import CustomerId
from member.store.coupon_tables import coupon_issue_items, coupon_issue_jobs


class Job(NamedTuple):
    """An issue job; `done` of its `total` customers are dealt with, `issued` of them got a coupon."""

    job_id: str
    template_id: TemplateId
    reason: str
    actor: str
    occurred_at: datetime
    total: int
    done: int = 0
    issued: int = 0


class Item(NamedTuple):
    """One customer of a job, by its place in the list from 1; both texts are empty while it waits."""

    position: int
    customer_id: CustomerId
    coupon_id: str = ""
    refusal: str = ""


_INSERT_ITEMS = text("""
    INSERT INTO coupon_issue_items (job_id, position, customer_id, coupon_id, refusal)
    SELECT :job_id, position, customer_id, '', ''
    FROM unnest(CAST(:customers AS text[])) WITH ORDINALITY AS listed(customer_id, position)
""")

# One job at a time, the first to be found; whoever else is at it is waited for.
_NEXT_JOB = text("""
    SELECT * FROM coupon_issue_jobs WHERE done < total AND occurred_at <= :as_of ORDER BY job_id LIMIT 1 FOR UPDATE
""")

_SAVE_ITEMS = text("""
    UPDATE coupon_issue_items AS item SET coupon_id = done.coupon_id, refusal = done.refusal
    FROM unnest(CAST(:positions AS integer[]), CAST(:coupons AS text[]), CAST(:refusals AS text[]))
        AS done(position, coupon_id, refusal)
    WHERE item.job_id = :job_id AND item.position = done.position
""")

_SAVE_JOB = text("""
    UPDATE coupon_issue_jobs SET done = done + :done, issued = issued + :issued WHERE job_id = :job_id
""")


async def find_job(connection: AsyncConnection, job_id: str) -> Job | None:
    """The job, or None."""
    asked = select(coupon_issue_jobs).where(coupon_issue_jobs.c.job_id == job_id)
    row = (await connection.execute(asked)).mappings().one_or_none()
    return _job(row) if row else None


async def insert_job(
    connection: AsyncConnection, job: Job, customers: Sequence[CustomerId], *, recorded_at: datetime
) -> None:
    """Write a job with its customers."""
    await connection.execute(insert(coupon_issue_jobs).values(job._asdict() | {"recorded_at": recorded_at}))
    await connection.execute(_INSERT_ITEMS, {"job_id": job.job_id, "customers": list(customers)})


async def next_job_for_update(connection: AsyncConnection, as_of: datetime) -> Job | None:
    """A job of which something waits, or None."""
    row = (await connection.execute(_NEXT_JOB, {"as_of": as_of})).mappings().one_or_none()
    return _job(row) if row else None


async def list_items(
    connection: AsyncConnection, job_id: str, *, after: int, limit: int, refused: bool = False
) -> list[Item]:
    """Customers of a job in the order of the list, all or only the refused."""
    table = coupon_issue_items.c
    asked = select(coupon_issue_items).where(table.job_id == job_id, table.position > after)
    if refused:
        asked = asked.where(table.refusal != "")
    found = await connection.execute(asked.order_by(table.position).limit(limit))
    return [Item(row.position, CustomerId(row.customer_id), row.coupon_id, row.refusal) for row in found]


async def save_items(connection: AsyncConnection, job_id: str, done: Sequence[Item]) -> None:
    """Write what customers of a job came to."""
    asked = {
        "job_id": job_id,
        "positions": [item.position for item in done],
        "coupons": [item.coupon_id for item in done],
        "refusals": [item.refusal for item in done],
    }
    await connection.execute(_SAVE_ITEMS, asked)
    issued = sum(not item.refusal for item in done)
    await connection.execute(_SAVE_JOB, {"job_id": job_id, "done": len(done), "issued": issued})


def _job(row: Mapping[Any, Any]) -> Job:
    return Job(**{name: row[name] for name in Job._fields})
