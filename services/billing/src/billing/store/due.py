"""What stays had on top of their thresholds, once it is not due any more."""

from collections.abc import Sequence
from datetime import datetime

from chassis.arrays import array_of_instants, array_of_numbers, array_of_texts
from chassis.driver import fetch
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.effects import DueOver

_ADD = """
INSERT INTO ended_dues (account_id, crossing_version, subscription_id, due_minor, account_version, occurred_at,
                        recorded_at)
SELECT n.*, $7 FROM unnest($1::text::text[], $2::text::bigint[], $3::text::text[], $4::text::bigint[],
  $5::text::bigint[], $6::text::timestamptz[]) AS n"""


async def add_ended_dues(connection: AsyncConnection, over: Sequence[DueOver], recorded_at: datetime) -> None:
    """Appends what is not due any more; most batches have nothing of it, and no query."""
    if over:
        await fetch(
            connection,
            _ADD,
            array_of_texts([each.account_id for each in over]),
            array_of_numbers([each.crossing_version for each in over]),
            array_of_texts([each.due.subscription_id for each in over]),
            array_of_numbers([each.due.due_minor for each in over]),
            array_of_numbers([each.account_version for each in over]),
            array_of_instants([each.occurred_at for each in over]),
            recorded_at,
        )
