"""The tables, as the migrations leave them."""

from datetime import datetime

from chassis.tables import chassis_tables
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

METADATA = MetaData()
chassis_tables(METADATA)


def _instant(name: str) -> Column[datetime]:
    return Column(name, DateTime(timezone=True), nullable=False)


def _text(name: str, *, key: bool = False) -> Column[str]:
    return Column(name, Text, nullable=False, primary_key=key)


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


Table(
    "rule_changes",
    METADATA,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    _number("revision"),
    CheckConstraint("id = 1", name="rule_changes_one_row"),
)
Table(
    "campaigns",
    METADATA,
    _text("campaign_id", key=True),
    _text("state"),
    Column("version", Integer, nullable=False),
    _number("revision"),
    Column("plan", JSONB, nullable=False),
    Column("reads_tags", ARRAY(Text), nullable=False),
    Column("reads_attributes", ARRAY(Text), nullable=False),
    _instant("recorded_at"),
    Index("campaigns_revision", "revision"),
)
Table(
    "campaign_versions",
    METADATA,
    _text("campaign_id", key=True),
    Column("version", Integer, nullable=False, primary_key=True, autoincrement=False),
    Column("plan", JSONB, nullable=False),
    _instant("recorded_at"),
)
Table(
    "own_event_types",
    METADATA,
    _text("event_type_id", key=True),
    Column("body", JSONB, nullable=False),
    _number("revision"),
)
Table(
    "own_tags",
    METADATA,
    _text("tag_id", key=True),
    Column("body", JSONB, nullable=False),
    _number("revision"),
)
Table(
    "customer_events",
    METADATA,
    _text("source", key=True),
    _text("event_id", key=True),
    _text("event_type"),
    _text("customer_id"),
    _instant("occurred_at"),
    _instant("recorded_at"),
    Column("attributes", JSONB, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Index("customer_events_type", "event_type", "occurred_at"),
    Index("customer_events_customer", "customer_id"),
)
Table(
    "customers",
    METADATA,
    _text("customer_id", key=True),
    _instant("registered_at"),
)
Table(
    "erased_customers",
    METADATA,
    _text("customer_id", key=True),
    _instant("erased_at"),
    _instant("recorded_at"),
)
Table(
    "customer_tags",
    METADATA,
    _text("customer_id", key=True),
    _text("tag_id", key=True),
    Column("value", JSONB),
    _instant("valid_from"),
    _number("sequence"),
)
Table(
    "account_tags",
    METADATA,
    _text("customer_id", key=True),
    _text("tag_id", key=True),
    _text("account_id", key=True),
    Column("value", JSONB),
    _instant("valid_from"),
    _number("sequence"),
)
Table(
    "tag_values",
    METADATA,
    _text("customer_id", key=True),
    _text("tag_id", key=True),
    Column("valid_from", DateTime(timezone=True), nullable=False, primary_key=True),
    Column("sequence", BigInteger, nullable=False, primary_key=True, autoincrement=False),
    Column("value", JSONB),
    _instant("recorded_at"),
)
Table(
    "purchases",
    METADATA,
    _text("charge_id", key=True),
    _text("customer_id"),
    _instant("occurred_at"),
    _number("amount_minor"),
    Index("purchases_of_customer", "customer_id", "occurred_at", "charge_id"),
)
Table(
    "known_revisions",
    METADATA,
    _text("kind", key=True),
    _text("aggregate_id", key=True),
    _number("revision"),
)
Table(
    "decision_limits",
    METADATA,
    _text("campaign_id", key=True),
    _text("customer_id", key=True),
)
Table(
    "decisions",
    METADATA,
    _text("decision_id", key=True),
    _text("campaign_id"),
    Column("campaign_version", Integer, nullable=False),
    _text("customer_id"),
    _text("source"),
    _text("event_id"),
    _text("event_type"),
    Column("offer", JSONB, nullable=False),
    Column("touchpoints", ARRAY(Text), nullable=False),
    Column("priority", Integer, nullable=False),
    _instant("occurred_at"),
    _instant("expires_at"),
    _instant("recorded_at"),
    UniqueConstraint("campaign_id", "source", "event_id", name="decisions_once_per_event"),
    Index("decisions_of_customer", "customer_id", "decision_id"),
    Index("decisions_of_campaign", "campaign_id", "customer_id", "occurred_at"),
)
