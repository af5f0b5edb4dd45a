"""The tables of the member service and the only SQL on them; rows never leave this folder."""

from sqlalchemy.ext.asyncio import AsyncConnection as Connection

from member.store import customer_tables  # noqa: F401 - its tables belong to METADATA
from member.store.tables import METADATA

__all__ = ["METADATA", "Connection"]
