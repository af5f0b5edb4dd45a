"""The tables of the member service and the only SQL on them; rows never leave this folder."""

from sqlalchemy.ext.asyncio import AsyncConnection as Connection

from member.store import (  # noqa: F401 - they fill METADATA
    benefits,
    catalogue,
    clubs,
    coupon_tables,
    customer_tables,
    earning_tables,
    engagement_tables,
    entitlements,
    merchants,
    package_migrations,
    settlements,
    shop,
    spending,
    tier_tables,
)
from member.store.tables import METADATA

__all__ = ["METADATA", "Connection"]
