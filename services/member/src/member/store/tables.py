"""The tables. Personal data stand in one column, `customers.profile`, and nowhere else in this database."""

from chassis.tables import chassis_tables
from ledger import ledger_tables
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

METADATA = MetaData()

chassis_tables(METADATA)
LEDGER = ledger_tables(METADATA)

customers = Table(
    "customers",
    METADATA,
    Column("customer_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("profile", JSONB, nullable=False, comment="display_name and persons: personal data"),
    Column("subscribers", JSONB, nullable=False),
    Column("registered_at", DateTime(timezone=True), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("accounts", JSONB, nullable=False, server_default="[]"),
    Column("manager_id", Text),
    Column("merged_into", Text, ForeignKey("customers.customer_id"), comment="who has what was this customer's"),
    Column("erased_at", DateTime(timezone=True)),
    Column("erased_persons", ARRAY(Text), nullable=False, server_default="{}", comment="who must not be put again"),
    CheckConstraint("kind IN ('household', 'enterprise')", name="customers_kind_known"),
    Index("customers_by_manager", "manager_id", "customer_id", postgresql_where=text("manager_id IS NOT NULL")),
    Index("customers_by_merged", "merged_into", postgresql_where=text("merged_into IS NOT NULL")),
)

programs = Table(
    "programs",
    METADATA,
    Column("program_id", Text, primary_key=True),
    Column("display_name", Text, nullable=False),
    Column("window_days", Integer, nullable=False),
    Column("points_lifetime_days", Integer, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("evaluated_as_of", DateTime(timezone=True), comment="business time of the last judging of tiers"),
    Column("evaluated_to_member", Text, comment="how far the judging has come; null when it is through"),
    CheckConstraint("window_days > 0 AND points_lifetime_days >= 0", name="programs_days_sensible"),
)

tiers = Table(
    "tiers",
    METADATA,
    Column("program_id", Text, ForeignKey("programs.program_id"), primary_key=True),
    Column("tier_id", Text, primary_key=True),
    Column("display_name", Text, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("points_required", BigInteger, nullable=False),
    Column("earn_rate_percent", Integer, nullable=False),
    # Deferred, so that two tiers may change places in one statement.
    UniqueConstraint("program_id", "rank", name="tiers_rank_once", deferrable=True, initially="DEFERRED"),
    CheckConstraint("rank >= 0 AND points_required >= 0 AND earn_rate_percent >= 0", name="tiers_not_negative"),
)

members = Table(
    "members",
    METADATA,
    Column("member_id", Text, primary_key=True),
    Column("customer_id", Text, ForeignKey("customers.customer_id"), nullable=False),
    Column("program_id", Text, nullable=False),
    Column("person_id", Text, nullable=False, server_default="", comment="empty: the customer as a whole"),
    Column("tier_id", Text, nullable=False),
    Column("tier_since", DateTime(timezone=True), nullable=False),
    Column("enrolled_at", DateTime(timezone=True), nullable=False),
    Column("revision", BigInteger, nullable=False),
    UniqueConstraint("customer_id", "program_id", "person_id", name="members_once_per_program"),
    ForeignKeyConstraint(["program_id", "tier_id"], ["tiers.program_id", "tiers.tier_id"], name="members_tier_known"),
    Index("members_by_tier", "program_id", "tier_id"),
    Index("members_by_program", "program_id", "member_id"),
)

tier_history = Table(
    "tier_history",
    METADATA,
    Column("member_id", Text, ForeignKey("members.member_id"), primary_key=True),
    Column("revision", BigInteger, primary_key=True),
    Column("tier_id", Text, nullable=False),
    Column("held_from", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Index("tier_history_by_instant", "member_id", "held_from", "revision"),
)

unrewarded_payments = Table(
    "unrewarded_payments",
    METADATA,
    Column("source", Text, primary_key=True),
    Column("customer_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    comment="Recharges and orders of customers who were not members at the time; they gave no points.",
)
