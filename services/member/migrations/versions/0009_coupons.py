"""Coupon templates in versions, coupons with the record of what happened to each, what members have had, issue jobs."""

from alembic import op
from chassis.migrations import append_only

revision = "0009"
down_revision = "0008"

_TEMPLATES = """
CREATE TABLE coupon_templates (
    template_id text PRIMARY KEY,
    state text NOT NULL,
    active_version integer NOT NULL,
    latest_version integer NOT NULL,
    limits jsonb NOT NULL,
    issued_max bigint NOT NULL,
    used_max bigint NOT NULL,
    issued bigint NOT NULL,
    used bigint NOT NULL,
    revision bigint NOT NULL,
    CONSTRAINT coupon_templates_state_known CHECK (state IN ('draft', 'active', 'ended')),
    CONSTRAINT coupon_templates_issued_within CHECK (issued >= 0 AND (issued_max = 0 OR issued <= issued_max)),
    CONSTRAINT coupon_templates_used_within CHECK (used >= 0 AND (used_max = 0 OR used <= used_max))
)"""

_VERSIONS = """
CREATE TABLE coupon_template_versions (
    template_id text NOT NULL REFERENCES coupon_templates,
    version integer NOT NULL,
    terms jsonb NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (template_id, version)
)"""

_COUPONS = """
CREATE TABLE coupons (
    coupon_id text PRIMARY KEY,
    template_id text NOT NULL,
    version integer NOT NULL,
    code text NOT NULL,
    customer_id text,
    program_id text NOT NULL,
    person_id text NOT NULL,
    state text NOT NULL,
    issued_at timestamptz NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_to timestamptz,
    reason text NOT NULL,
    batch_id text NOT NULL,
    order_id text,
    used_at timestamptz,
    ends_at timestamptz,
    discount_minor bigint,
    currency text,
    due_at timestamptz,
    revision bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT coupons_code_once UNIQUE (code),
    CONSTRAINT coupons_version_known FOREIGN KEY (template_id, version) REFERENCES coupon_template_versions,
    CONSTRAINT coupons_customer_known FOREIGN KEY (customer_id) REFERENCES customers,
    CONSTRAINT coupons_state_known
        CHECK (state IN ('unassigned', 'open', 'reserved', 'redeemed', 'expired', 'void')),
    CONSTRAINT coupons_used_by_an_order CHECK ((state IN ('reserved', 'redeemed')) = (order_id IS NOT NULL)),
    CONSTRAINT coupons_held_when_used
        CHECK (customer_id IS NOT NULL OR state IN ('unassigned', 'expired', 'void'))
)"""

_STEPS = """
CREATE TABLE coupon_steps (
    coupon_id text NOT NULL REFERENCES coupons,
    revision bigint NOT NULL,
    act text NOT NULL,
    order_id text NOT NULL,
    discount_minor bigint NOT NULL,
    reason text NOT NULL,
    actor text NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (coupon_id, revision)
)"""

_HOLDERS = """
CREATE TABLE coupon_holders (
    template_id text NOT NULL REFERENCES coupon_templates,
    customer_id text NOT NULL,
    person_id text NOT NULL,
    issued bigint NOT NULL,
    PRIMARY KEY (template_id, customer_id, person_id),
    CONSTRAINT coupon_holders_not_negative CHECK (issued >= 0)
)"""

_GUESSES = """
CREATE TABLE coupon_guesses (
    caller text NOT NULL,
    window_start timestamptz NOT NULL,
    failures integer NOT NULL,
    PRIMARY KEY (caller, window_start)
)"""

_BATCHES = """
CREATE TABLE coupon_batches (
    batch_id text PRIMARY KEY,
    template_id text NOT NULL REFERENCES coupon_templates,
    origin text NOT NULL,
    codes integer NOT NULL,
    actor text NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT coupon_batches_origin_known CHECK (origin IN ('ours', 'external'))
)"""

_JOBS = """
CREATE TABLE coupon_issue_jobs (
    job_id text PRIMARY KEY,
    template_id text NOT NULL REFERENCES coupon_templates,
    reason text NOT NULL,
    actor text NOT NULL,
    occurred_at timestamptz NOT NULL,
    total integer NOT NULL,
    done integer NOT NULL,
    issued integer NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT coupon_issue_jobs_counts CHECK (0 <= issued AND issued <= done AND done <= total)
)"""

_JOB_ITEMS = """
CREATE TABLE coupon_issue_items (
    job_id text NOT NULL REFERENCES coupon_issue_jobs,
    position integer NOT NULL,
    customer_id text NOT NULL,
    coupon_id text NOT NULL,
    refusal text NOT NULL,
    PRIMARY KEY (job_id, position)
)"""

_AUDIT = """
CREATE TABLE coupon_audit (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    template_id text NOT NULL,
    act text NOT NULL,
    version integer NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    recorded_at timestamptz NOT NULL
)"""

_INDEXES = (
    "CREATE INDEX coupons_due ON coupons (due_at, coupon_id) WHERE due_at IS NOT NULL",
    "CREATE INDEX coupons_of_customer ON coupons (customer_id, valid_to, coupon_id) WHERE customer_id IS NOT NULL",
    "CREATE INDEX coupons_of_order ON coupons (order_id, customer_id) WHERE order_id IS NOT NULL",
    "CREATE INDEX coupons_of_template ON coupons (template_id, state) INCLUDE (discount_minor)",
    "CREATE INDEX coupons_in_use ON coupons (template_id, customer_id, person_id) WHERE order_id IS NOT NULL",
    "CREATE INDEX coupons_of_batch ON coupons (batch_id, coupon_id) WHERE batch_id <> ''",
    "CREATE INDEX coupon_issue_jobs_waiting ON coupon_issue_jobs (job_id) WHERE done < total",
    "CREATE INDEX coupon_audit_of_template ON coupon_audit (template_id, number)",
)


def upgrade() -> None:
    """Makes everything."""
    tables = (_TEMPLATES, _VERSIONS, _COUPONS, _STEPS, _HOLDERS, _GUESSES, _BATCHES, _JOBS, _JOB_ITEMS, _AUDIT)
    for statement in (*tables, *_INDEXES):
        op.execute(statement)
    append_only(op, "coupon_steps", "coupon_audit", "coupon_batches")
