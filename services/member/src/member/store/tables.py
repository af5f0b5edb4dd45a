"""The tables. Personal data stand in one column, `customers.profile`, and nowhere else in this database."""

from chassis.tables import chassis_tables
from ledger import ledger_tables
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    MetaData,
    Table,
    Text,
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
    Column("active_version", BigInteger, comment="in force when last looked at"),
    Column("active_sequence", BigInteger, nullable=False, server_default="0", comment="its activation"),
    Column("upgrades_at_once", Boolean, nullable=False, server_default=text("false"), comment="in some version"),
    Column("warned_as_of", DateTime(timezone=True), comment="business time of the last round of warnings"),
    Column("warned_to_member", Text, comment="how far the warnings have come; null when they are through"),
    Column("evaluated_as_of", DateTime(timezone=True), comment="business time of the last judging of tiers"),
    Column("evaluated_to_member", Text, comment="how far the judging has come; null when it is through"),
)

tiers = Table(
    "tiers",
    METADATA,
    Column("program_id", Text, ForeignKey("programs.program_id"), primary_key=True),
    Column("tier_id", Text, primary_key=True),
    comment="Every tier that a version in force had: members may hold it.",
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
    Column("holds_until", DateTime(timezone=True), comment="end of the tier's validity, or of its grace"),
    Column("in_grace", Boolean, nullable=False, server_default=text("false")),
    Column("left_at", DateTime(timezone=True)),
    ForeignKeyConstraint(["program_id", "tier_id"], ["tiers.program_id", "tiers.tier_id"], name="members_tier_known"),
    Index(
        "members_once_per_program",
        "customer_id",
        "program_id",
        "person_id",
        unique=True,
        postgresql_where=text("left_at IS NULL"),
    ),
    Index("members_by_tier", "program_id", "tier_id", "member_id", postgresql_where=text("left_at IS NULL")),
    Index("members_by_hold", "program_id", "member_id", postgresql_where=text("holds_until IS NOT NULL")),
    Index("members_by_program", "program_id", "member_id"),
    Index("members_by_enrolment", "program_id", "enrolled_at", "member_id"),
)

tier_history = Table(
    "tier_history",
    METADATA,
    Column("member_id", Text, ForeignKey("members.member_id"), primary_key=True),
    Column("revision", BigInteger, primary_key=True),
    Column("tier_id", Text, nullable=False),
    Column("held_from", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("version", BigInteger, nullable=False, server_default="0", comment="of the program, that judged so"),
    Column("reason", Text, nullable=False, server_default="evaluation"),
    Column("note", Text, nullable=False, server_default=""),
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
    Column("cause", Text, nullable=False, server_default="not_a_member"),
    comment="Recharges and orders that gave no points, and why.",
)
