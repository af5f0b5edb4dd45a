"""Scoring's tables and the only SQL on them: purchase days by customer, runs, their scores, and which run counts."""

from sqlalchemy.ext.asyncio import AsyncConnection as Connection

from scoring.store.tables import METADATA

__all__ = ["METADATA", "Connection"]
