"""Tables of programs' versions and of what tiers are judged by; each row of them is written once."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

from member.store.tables import METADATA

program_versions = Table(
    "program_versions",
    METADATA,
    Column("program_id", Text, ForeignKey("programs.program_id"), primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("document", JSONB, nullable=False),
    Column("drafted_by", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)

program_activations = Table(
    "program_activations",
    METADATA,
    Column("program_id", Text, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, comment="of two that begin at one instant the later holds"),
    Column("version", BigInteger, nullable=False),
    Column("active_from", DateTime(timezone=True), nullable=False, comment="business time"),
    Column("activated_by", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    ForeignKeyConstraint(["program_id", "version"], ["program_versions.program_id", "program_versions.version"]),
)

tier_points = Table(
    "tier_points",
    METADATA,
    Column("member_id", Text, nullable=False),
    Column("earned_at", DateTime(timezone=True), nullable=False, comment="of the earning, also where it is taken back"),
    Column("kind", Text, nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("known_from", DateTime(timezone=True), nullable=False),
    Index("tier_points_by_member", "member_id", "earned_at", postgresql_include=["kind", "points", "known_from"]),
    comment="Points earned, by member: written by a trigger on the ledger's transactions.",
)

tier_spend = Table(
    "tier_spend",
    METADATA,
    Column("source", Text, primary_key=True),
    Column("customer_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("spent_at", DateTime(timezone=True), nullable=False, comment="of the payment, also where it is given back"),
    Column("refund_of", Text, comment="the payment, where it is given back"),
    Column("refunded_at", DateTime(timezone=True), comment="business time; the payment counts in full before"),
    CheckConstraint("kind IN ('recharge', 'order')", name="tier_spend_kind_known"),
    CheckConstraint(
        "CASE WHEN refund_of IS NULL THEN amount_minor > 0 ELSE amount_minor < 0 AND refunded_at IS NOT NULL END",
        name="tier_spend_signed",
    ),
    Index(
        "tier_spend_by_customer", "customer_id", "spent_at", postgresql_include=["kind", "amount_minor", "refunded_at"]
    ),
)

downgrade_warnings = Table(
    "downgrade_warnings",
    METADATA,
    Column("member_id", Text, ForeignKey("members.member_id"), primary_key=True),
    Column("ends_at", DateTime(timezone=True), primary_key=True),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)
