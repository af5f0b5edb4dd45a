"""Tables and the only SQL of the service; rows never leave it."""

from sqlalchemy.ext.asyncio import AsyncConnection as Connection

from touchpoint.store.tables import METADATA

__all__ = ["METADATA", "Connection"]
