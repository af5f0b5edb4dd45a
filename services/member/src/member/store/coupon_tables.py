"""The tables of coupons. No personal data stand in them: who holds a coupon is told by ids."""

from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, Identity, Integer, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from member.store.tables import METADATA

coupon_templates = Table(
    "coupon_templates",
    METADATA,
    Column("template_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("active_version", Integer, nullable=False, comment="0 while nothing was activated"),
    Column("latest_version", Integer, nullable=False),
    Column("limits", JSONB, nullable=False, comment="of the active version"),
    Column("issued_max", BigInteger, nullable=False, comment="0: without limit, and then nothing is counted here"),
    Column("used_max", BigInteger, nullable=False),
    Column("issued", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False, comment="reserved or redeemed"),
    Column("revision", BigInteger, nullable=False),
)

coupon_template_versions = Table(
    "coupon_template_versions",
    METADATA,
    Column("template_id", Text, ForeignKey("coupon_templates.template_id"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("terms", JSONB, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)

coupons = Table(
    "coupons",
    METADATA,
    Column("coupon_id", Text, primary_key=True),
    Column("template_id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("code", Text, nullable=False, unique=True),
    Column("customer_id", Text, comment="null while nobody has claimed it"),
    Column("program_id", Text, nullable=False),
    Column("person_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("issued_at", DateTime(timezone=True), nullable=False),
    Column("valid_from", DateTime(timezone=True), nullable=False),
    Column("valid_to", DateTime(timezone=True)),
    Column("reason", Text, nullable=False),
    Column("batch_id", Text, nullable=False),
    Column("order_id", Text),
    Column("used_at", DateTime(timezone=True)),
    Column("ends_at", DateTime(timezone=True)),
    Column("discount_minor", BigInteger),
    Column("currency", Text),
    Column("due_at", DateTime(timezone=True), comment="when it changes by itself"),
    Column("revision", BigInteger, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)

coupon_steps = Table(
    "coupon_steps",
    METADATA,
    Column("coupon_id", Text, ForeignKey("coupons.coupon_id"), primary_key=True),
    Column("revision", BigInteger, primary_key=True),
    Column("act", Text, nullable=False),
    Column("order_id", Text, nullable=False),
    Column("discount_minor", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("number", BigInteger, Identity(always=True)),
    comment="What happened to each coupon, one row for each of its revisions.",
)

coupon_holders = Table(
    "coupon_holders",
    METADATA,
    Column("template_id", Text, ForeignKey("coupon_templates.template_id"), primary_key=True),
    Column("customer_id", Text, primary_key=True),
    Column("person_id", Text, primary_key=True),
    Column("issued", BigInteger, nullable=False),
    comment="How many coupons of a template a member has had; its row is the lock of the member's limits.",
)

coupon_guesses = Table(
    "coupon_guesses",
    METADATA,
    Column("caller", Text, primary_key=True),
    Column("window_start", DateTime(timezone=True), primary_key=True),
    Column("failures", Integer, nullable=False),
)

coupon_batches = Table(
    "coupon_batches",
    METADATA,
    Column("batch_id", Text, primary_key=True),
    Column("template_id", Text, ForeignKey("coupon_templates.template_id"), nullable=False),
    Column("origin", Text, nullable=False),
    Column("codes", Integer, nullable=False),
    Column("actor", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)

coupon_issue_jobs = Table(
    "coupon_issue_jobs",
    METADATA,
    Column("job_id", Text, primary_key=True),
    Column("template_id", Text, ForeignKey("coupon_templates.template_id"), nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("total", Integer, nullable=False),
    Column("done", Integer, nullable=False),
    Column("issued", Integer, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)

coupon_issue_items = Table(
    "coupon_issue_items",
    METADATA,
    Column("job_id", Text, ForeignKey("coupon_issue_jobs.job_id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("customer_id", Text, nullable=False),
    Column("coupon_id", Text, nullable=False, comment="empty until it is issued, and where it was refused"),
    Column("refusal", Text, nullable=False),
)

coupon_audit = Table(
    "coupon_audit",
    METADATA,
    Column("number", BigInteger, Identity(always=True), primary_key=True),
    Column("template_id", Text, nullable=False),
    Column("act", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)
