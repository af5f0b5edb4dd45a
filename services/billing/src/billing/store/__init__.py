"""Everything billing knows of its database: tables and the only SQL. Rows never leave here."""

from sqlalchemy.ext.asyncio import AsyncConnection as Connection

from billing.store import (
    account_tables,
    bill_tables,
    charging_tables,
    held_tier_tables,
    migration_tables,
    notice_tables,
    order_tables,
    payment_tables,
)
from billing.store.tables import METADATA

__all__ = [
    "METADATA",
    "Connection",
    "account_tables",
    "bill_tables",
    "charging_tables",
    "held_tier_tables",
    "migration_tables",
    "notice_tables",
    "order_tables",
    "payment_tables",
]
