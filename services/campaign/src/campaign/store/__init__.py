"""The tables of the campaign service and the only SQL; rows never leave it."""

from typing import TypeAlias

from sqlalchemy.ext.asyncio import AsyncConnection

from campaign.store.tables import METADATA

Connection: TypeAlias = AsyncConnection
"""What stores read and write through, named so that use cases can pass it on without knowing more."""

__all__ = ["METADATA", "Connection"]
