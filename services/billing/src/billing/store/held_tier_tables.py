"""The table of tiers that customers hold, a copy of what the member service says."""

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, Column, Table, Text

from billing.store.tables import METADATA

HELD_TIERS = Table(
    "held_tiers",
    METADATA,
    Column("customer_id", Text, primary_key=True),
    Column("program_ids", ARRAY(Text), nullable=False),
    Column("tier_ids", ARRAY(Text), nullable=False, doc="in the programs, one each"),
    Column("revision", BigInteger, nullable=False, doc="what comes later and is older is dropped"),
    CheckConstraint("cardinality(program_ids) = cardinality(tier_ids)", name="held_tiers_pairs"),
)
