"""The tables, as the migrations make them."""

from chassis.tables import chassis_tables
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

METADATA = MetaData()
chassis_tables(METADATA)

_TIME = DateTime(timezone=True)

touchpoints = Table(
    "touchpoints",
    METADATA,
    Column("code", Text, primary_key=True),
    Column("touchpoint_id", Text, nullable=False, unique=True),
    Column("touchpoint_class", Text, nullable=False),
    Column("name_en", Text, nullable=False),
    Column("name_zh", Text, nullable=False),
    Column("inbound", Boolean, nullable=False),
    Column("outbound", Boolean, nullable=False),
    Column("delivery_ways", ARRAY(Text), nullable=False),
    Column("preferred_way", Text, nullable=False),
    Column("recorded_at", _TIME, nullable=False),
    CheckConstraint("preferred_way = ANY (delivery_ways)", name="touchpoints_preferred_way"),
)

contact_policy = Table(
    "contact_policy",
    METADATA,
    Column("only", Boolean, primary_key=True, server_default=text("true")),
    Column("contacts_max", Integer, nullable=False),
    Column("window_days", Integer, nullable=False),
    Column("cool_off_days", Integer, nullable=False),
    Column("recorded_at", _TIME, nullable=False),
    CheckConstraint('"only"', name="contact_policy_one_row"),
)

# One row per customer for whom anything ever waited. It is what a contact locks, so that two of them cannot count the
# same customer's contacts at once.
customers = Table("customers", METADATA, Column("customer_id", Text, primary_key=True))

opportunities = Table(
    "opportunities",
    METADATA,
    Column("opportunity_id", Text, primary_key=True),
    Column("customer_id", Text, ForeignKey("customers.customer_id"), nullable=False),
    Column("campaign_id", Text, nullable=False),
    Column("campaign_version", Integer, nullable=False),
    Column("offer_id", Text, nullable=False),
    Column("offer_title", Text, nullable=False),
    Column("offer_body", Text, nullable=False),
    Column("offer_value_minor", BigInteger, nullable=False),
    Column("touchpoints", ARRAY(Text), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("occurred_at", _TIME, nullable=False),
    Column("expires_at", _TIME, nullable=False),
    Column("state", Text, nullable=False, server_default="open"),
    Column("recorded_at", _TIME, nullable=False),
    CheckConstraint("state IN ('open', 'taken', 'expired')", name="opportunities_state"),
    CheckConstraint("cardinality(touchpoints) > 0", name="opportunities_touchpoints"),
    CheckConstraint("expires_at > occurred_at", name="opportunities_expires_at"),
    Index("opportunities_open_customer", "customer_id", postgresql_where=text("state = 'open'")),
    Index("opportunities_open_expires_at", "expires_at", postgresql_where=text("state = 'open'")),
    Index(
        "opportunities_open_touchpoints",
        "touchpoints",
        postgresql_using="gin",
        postgresql_where=text("state = 'open'"),
    ),
)

# Append-only. That an opportunity makes one contact at most is said by the key, whatever the code does.
contacts = Table(
    "contacts",
    METADATA,
    Column("contact_id", Text, primary_key=True),
    Column("opportunity_id", Text, ForeignKey("opportunities.opportunity_id"), nullable=False, unique=True),
    Column("customer_id", Text, ForeignKey("customers.customer_id"), nullable=False),
    Column("campaign_id", Text, nullable=False),
    Column("touchpoint", Text, ForeignKey("touchpoints.code"), nullable=False),
    Column("delivery_way", Text, nullable=False),
    Column("occurred_at", _TIME, nullable=False),
    Column("recorded_at", _TIME, nullable=False),
    Index("contacts_customer", "customer_id", "occurred_at", "contact_id"),
    Index("contacts_occurred_at", "occurred_at", "contact_id"),
)

# Append-only; the last one of a contact counts.
outcomes = Table(
    "outcomes",
    METADATA,
    Column("position", BigInteger, Identity(always=True), primary_key=True),
    Column("contact_id", Text, ForeignKey("contacts.contact_id"), nullable=False),
    Column("outcome", Text, nullable=False),
    Column("occurred_at", _TIME, nullable=False),
    Column("recorded_at", _TIME, nullable=False),
    CheckConstraint("outcome IN ('accepted', 'refused', 'ignored', 'complained')", name="outcomes_outcome"),
    Index("outcomes_last", "contact_id", text("occurred_at DESC"), text("position DESC")),
)

endpoints = Table(
    "endpoints",
    METADATA,
    Column("endpoint_id", Text, primary_key=True),
    Column("partner_id", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("touchpoints", ARRAY(Text), nullable=False),
    Column("secret", Text, nullable=False),
    Column("disabled", Boolean, nullable=False, server_default=text("false")),
    Column("recorded_at", _TIME, nullable=False),
    Index("endpoints_partner", "partner_id", "endpoint_id"),
)

deliveries = Table(
    "deliveries",
    METADATA,
    Column("delivery_id", Text, primary_key=True),
    Column("endpoint_id", Text, ForeignKey("endpoints.endpoint_id"), nullable=False),
    Column("message_type", Text, nullable=False),
    Column("contact_id", Text, ForeignKey("contacts.contact_id"), nullable=False),
    Column("state", Text, nullable=False, server_default="pending"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("attempts_before", Integer, nullable=False, server_default="0"),
    Column("last_status", SmallInteger, nullable=False, server_default="0"),
    Column("last_error", Text, nullable=False, server_default=""),
    Column("next_attempt_at", _TIME, nullable=False),
    Column("lease_owner", Text),
    Column("lease_until", _TIME),
    Column("occurred_at", _TIME, nullable=False),
    Column("recorded_at", _TIME, nullable=False),
    Column("delivered_at", _TIME),
    CheckConstraint("state IN ('pending', 'delivered', 'exhausted')", name="deliveries_state"),
    CheckConstraint("(lease_owner IS NULL) = (lease_until IS NULL)", name="deliveries_lease"),
    UniqueConstraint("endpoint_id", "contact_id", "message_type", name="deliveries_once"),
    Index("deliveries_due", "endpoint_id", "next_attempt_at", postgresql_where=text("state = 'pending'")),
    Index("deliveries_leased", "endpoint_id", postgresql_where=text("lease_until IS NOT NULL")),
    Index("deliveries_endpoint", "endpoint_id", "delivery_id"),
)

# Append-only: what was sent is accounted for, whatever becomes of the delivery.
delivery_attempts = Table(
    "delivery_attempts",
    METADATA,
    Column("delivery_id", Text, ForeignKey("deliveries.delivery_id"), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("status", SmallInteger, nullable=False),
    Column("error", Text, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("recorded_at", _TIME, nullable=False),
)

APPEND_ONLY = ("contacts", "outcomes", "delivery_attempts")
