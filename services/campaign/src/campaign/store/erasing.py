"""Forgetting customers: the database's own function does it, as the service itself may change no event."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from campaign.domain.intake import CustomerId

_FORGET = text("""
SELECT forget_customers(CAST(:ids AS text[]), CAST(:instants AS timestamptz[]), CAST(:recorded_at AS timestamptz))
""")


async def forget_customers(
    connection: AsyncConnection, erased: Mapping[CustomerId, datetime], recorded_at: datetime
) -> None:
    """Drop tags, what events said, and since when they were customers; what comes later is not kept either."""
    asked = {"ids": list(erased), "instants": list(erased.values()), "recorded_at": recorded_at}
    await connection.execute(_FORGET, asked)
