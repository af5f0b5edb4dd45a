"""The tables of earning: rules in their versions, what caps count, points that ripen, and what was taken back."""

from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, ForeignKey, Index, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from member.store.tables import METADATA

_WAITING = text("NOT ripened")

earning_editions = Table(
    "earning_editions",
    METADATA,
    Column("program_id", Text, ForeignKey("programs.program_id"), primary_key=True),
    Column("edition", Text, nullable=False, comment="new with every change of the program's rules, and never again"),
)

earning_rules = Table(
    "earning_rules",
    METADATA,
    Column("rule_id", Text, primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("program_id", Text, ForeignKey("programs.program_id"), nullable=False),
    Column("trigger", Text, nullable=False),
    Column("acts_from", DateTime(timezone=True), nullable=False, comment="business time"),
    Column("ended", Boolean, nullable=False),
    Column("document", JSONB, nullable=False),
    Column("put_by", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Index("earning_rules_by_program", "program_id", "rule_id", "version"),
)

earning_policies = Table(
    "earning_policies",
    METADATA,
    Column("program_id", Text, ForeignKey("programs.program_id"), primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("acts_from", DateTime(timezone=True), nullable=False, comment="business time"),
    Column("currency", Text, nullable=False),
    Column("most_basis_points", BigInteger, nullable=False),
    Column("put_by", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)

earning_counters = Table(
    "earning_counters",
    METADATA,
    Column("rule_id", Text, primary_key=True),
    Column("member_id", Text, primary_key=True, comment="empty: all members"),
    Column("period", Text, primary_key=True),
    Column("period_start", DateTime(timezone=True), primary_key=True),
    Column("points", BigInteger, nullable=False),
    # Room on each page for the rows' next versions, as they are counted up again and again.
    postgresql_with={"fillfactor": 70},
)

pending_points = Table(
    "pending_points",
    METADATA,
    Column("source", Text, nullable=False, comment="what earned them"),
    Column("transaction_id", Text, primary_key=True, comment="the ledger's, once they are ripe"),
    Column("member_id", Text, ForeignKey("members.member_id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("rule_id", Text, nullable=False),
    Column("parts", Text, nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("cancelled", BigInteger, nullable=False),
    Column("earned_at", DateTime(timezone=True), nullable=False),
    Column("ripens_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True)),
    Column("ripened", Boolean, nullable=False, comment="posted, or nothing was left to post"),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Index("pending_points_due", "ripens_at", postgresql_where=_WAITING),
    Index("pending_points_by_member", "member_id", "ripens_at"),
    Index("pending_points_by_source", "source"),
)

earning_legs = Table(
    "earning_legs",
    METADATA,
    Column("source", Text, primary_key=True, comment="what earned"),
    Column("transaction_id", Text, primary_key=True),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    comment="Transactions of the ledger that do not bear the very name of what earned them.",
)

payment_refunds = Table(
    "payment_refunds",
    METADATA,
    Column("source", Text, primary_key=True, comment="the payment"),
    Column("refund_id", Text, primary_key=True),
    Column("paid_minor", BigInteger, nullable=False),
    Column("refunded_minor", BigInteger, nullable=False),
    Column("refunded_at", DateTime(timezone=True), nullable=False, comment="business time"),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)

tenure_marks = Table(
    "tenure_marks",
    METADATA,
    Column("program_id", Text, ForeignKey("programs.program_id"), primary_key=True),
    Column("day", Date, nullable=False, comment="the day of the operator's whose anniversaries are being rewarded"),
    Column("to_member", Text, nullable=False, comment="how far that day's members are rewarded"),
)
