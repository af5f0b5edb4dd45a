"""Tables around customers: consents, merges, erasures, managers and care. None of them holds personal data."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from member.store.tables import METADATA

consents = Table(
    "consents",
    METADATA,
    Column("customer_id", Text, ForeignKey("customers.customer_id"), primary_key=True),
    Column("person_id", Text, primary_key=True, comment="empty: the customer as a whole"),
    Column("purpose", Text, primary_key=True),
    Column("revision", BigInteger, primary_key=True, comment="dense within the purpose, in the order of recording"),
    Column("given", Boolean, nullable=False),
    Column("text_version", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("said_by", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("position", BigInteger, Identity(always=True), nullable=False),
    Index("consents_by_position", "customer_id", "position"),
    comment="Everything that was ever said; what holds is the latest by business time.",
)

customer_merges = Table(
    "customer_merges",
    METADATA,
    Column("merged_customer_id", Text, ForeignKey("customers.customer_id"), primary_key=True),
    Column("customer_id", Text, ForeignKey("customers.customer_id"), nullable=False),
    Column("person_moves", JSONB, nullable=False),
    Column("moved_memberships", Integer, nullable=False),
    Column("merged_at", DateTime(timezone=True), nullable=False),
    Column("merged_by", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Index("customer_merges_by_customer", "customer_id", "merged_customer_id"),
)

carried_memberships = Table(
    "carried_memberships",
    METADATA,
    Column("member_id", Text, ForeignKey("members.member_id"), primary_key=True),
    Column("into_member_id", Text, ForeignKey("members.member_id"), nullable=False),
    Column("merged_customer_id", Text, ForeignKey("customers.customer_id"), nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    comment="Memberships that ended in another one when their customers became one.",
)

erasures = Table(
    "erasures",
    METADATA,
    Column("customer_id", Text, ForeignKey("customers.customer_id"), primary_key=True),
    Column("person_id", Text, primary_key=True, comment="empty: the customer with everybody"),
    Column("erased_at", DateTime(timezone=True), nullable=False),
    Column("erased_by", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)

manager_history = Table(
    "manager_history",
    METADATA,
    Column("customer_id", Text, ForeignKey("customers.customer_id"), primary_key=True),
    Column("revision", BigInteger, primary_key=True),
    Column("manager_id", Text, nullable=False, comment="empty: nobody from then on"),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("assigned_by", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)

holidays = Table(
    "holidays",
    METADATA,
    Column("holiday_id", Text, primary_key=True),
    Column("display_name", Text, nullable=False),
    Column("days", ARRAY(Date), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("put_by", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)

care_rules = Table(
    "care_rules",
    METADATA,
    Column("rule_id", Text, primary_key=True),
    Column("occasion", Text, nullable=False),
    Column("holiday_id", Text, ForeignKey("holidays.holiday_id")),
    Column("days_ahead", Integer, nullable=False),
    Column("years_at_least", Integer, nullable=False),
    Column("customer_kind", Text),
    Column("active", Boolean, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("put_by", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("days_ahead >= 0 AND years_at_least >= 0", name="care_rules_sensible"),
)

care_told = Table(
    "care_told",
    METADATA,
    Column("care_id", Text, primary_key=True),
    Column("customer_id", Text, ForeignKey("customers.customer_id"), nullable=False),
    Column("person_id", Text, nullable=False),
    Column("occasion", Text, nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("year", Integer, nullable=False, comment="of the occasion, which may lie ahead of the day of telling"),
    Column("years", Integer, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("customer_id", "person_id", "occasion", "subject_id", "year", name="care_told_once"),
)

care_runs = Table(
    "care_runs",
    METADATA,
    Column("run_id", Text, primary_key=True),
    Column("day", Date, nullable=False),
    Column("reached", Text, nullable=False, comment="the last customer looked at"),
    Column("finished", Boolean, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)
