"""Clubs, alliance merchants, and the rewards shop."""

from alembic import op
from chassis.migrations import append_only

revision = "0011"
down_revision = "0010"

_CHANGES = """
CREATE TABLE catalogue_changes (
    kind text NOT NULL,
    document_id text NOT NULL,
    revision bigint NOT NULL,
    document jsonb NOT NULL,
    put_by text NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (kind, document_id, revision)
)"""

_CLUBS = """
CREATE TABLE clubs (
    club_id text PRIMARY KEY,
    document jsonb NOT NULL,
    members integer NOT NULL DEFAULT 0,
    revision bigint NOT NULL,
    CONSTRAINT clubs_members_not_negative CHECK (members >= 0)
)"""

_CLUB_MEMBERSHIPS = """
CREATE TABLE club_memberships (
    club_membership_id text PRIMARY KEY,
    club_id text NOT NULL REFERENCES clubs,
    member_id text NOT NULL REFERENCES members,
    state text NOT NULL,
    applied_at timestamptz NOT NULL,
    active_since timestamptz,
    terms integer NOT NULL,
    term_ends_at timestamptz,
    renews boolean NOT NULL,
    lapses_at timestamptz,
    due_at timestamptz,
    ended_at timestamptz,
    end_reason text,
    revision bigint NOT NULL,
    CONSTRAINT club_memberships_state_known CHECK (state IN ('applied', 'active', 'refused', 'ended')),
    CONSTRAINT club_memberships_begun CHECK (state <> 'active' OR active_since IS NOT NULL),
    CONSTRAINT club_memberships_over CHECK ((state IN ('refused', 'ended')) = (ended_at IS NOT NULL))
)"""

_MERCHANTS = """
CREATE TABLE merchants (
    merchant_id text PRIMARY KEY,
    document jsonb NOT NULL,
    closed_until timestamptz NOT NULL,
    revision bigint NOT NULL
)"""

_MERCHANT_SUBJECTS = """
CREATE TABLE merchant_subjects (
    subject text PRIMARY KEY,
    merchant_id text NOT NULL REFERENCES merchants
)"""

_MEMBER_CODES = """
CREATE TABLE member_codes (
    member_id text PRIMARY KEY REFERENCES members,
    code_id text NOT NULL,
    code_hash bytea NOT NULL UNIQUE,
    expires_at timestamptz NOT NULL
)"""

_CODE_FAILURES = """
CREATE TABLE code_failures (
    subject text PRIMARY KEY,
    window_start timestamptz NOT NULL,
    failures integer NOT NULL
)"""

_VERIFICATIONS = """
CREATE TABLE merchant_verifications (
    verification_id text PRIMARY KEY,
    merchant_id text NOT NULL REFERENCES merchants,
    member_id text NOT NULL REFERENCES members,
    shop_id text NOT NULL,
    tier_id text NOT NULL,
    tier_name text NOT NULL,
    discount_basis_points integer NOT NULL,
    verified_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
)"""

_LINES = """
CREATE TABLE merchant_lines (
    line_id text PRIMARY KEY,
    merchant_id text NOT NULL REFERENCES merchants,
    kind text NOT NULL,
    receipt_number text NOT NULL,
    verification_id text NOT NULL REFERENCES merchant_verifications,
    member_id text NOT NULL REFERENCES members,
    shop_id text NOT NULL,
    product_family text NOT NULL,
    currency text NOT NULL,
    amount_minor bigint NOT NULL,
    discount_minor bigint NOT NULL,
    share_minor bigint NOT NULL,
    points bigint NOT NULL,
    reverses text REFERENCES merchant_lines,
    occurred_at timestamptz NOT NULL,
    settled_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT merchant_lines_receipt_once UNIQUE (merchant_id, receipt_number, kind),
    CONSTRAINT merchant_lines_verification_once UNIQUE (verification_id, kind),
    CONSTRAINT merchant_lines_reversed_once UNIQUE (reverses),
    CONSTRAINT merchant_lines_kind_known CHECK (kind IN ('sale', 'reversal')),
    CONSTRAINT merchant_lines_signed CHECK (
        CASE kind WHEN 'sale' THEN amount_minor > 0 AND discount_minor BETWEEN 0 AND amount_minor
                       AND share_minor BETWEEN 0 AND discount_minor AND reverses IS NULL
                  ELSE amount_minor < 0 AND reverses IS NOT NULL END)
)"""

_CLOSINGS = """
CREATE TABLE merchant_closings (
    merchant_id text NOT NULL REFERENCES merchants,
    period_start timestamptz NOT NULL,
    period_end timestamptz NOT NULL,
    sales bigint NOT NULL,
    reversals bigint NOT NULL,
    amount_minor bigint NOT NULL,
    discount_minor bigint NOT NULL,
    share_minor bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, period_start)
)"""

_ITEMS = """
CREATE TABLE shop_items (
    item_id text PRIMARY KEY,
    document jsonb NOT NULL,
    stock bigint NOT NULL DEFAULT 0,
    stocked bigint NOT NULL DEFAULT 0,
    revision bigint NOT NULL,
    CONSTRAINT shop_items_stock_not_negative CHECK (stock >= 0)
)"""

_STOCK_CHANGES = """
CREATE TABLE shop_stock_changes (
    change_id text PRIMARY KEY,
    item_id text NOT NULL REFERENCES shop_items,
    change bigint NOT NULL,
    reason text NOT NULL,
    put_by text NOT NULL,
    recorded_at timestamptz NOT NULL
)"""

_ORDERS = """
CREATE TABLE shop_orders (
    order_id text PRIMARY KEY,
    item_id text NOT NULL REFERENCES shop_items,
    kind text NOT NULL,
    member_id text NOT NULL REFERENCES members,
    points bigint NOT NULL,
    state text NOT NULL,
    placed_at timestamptz NOT NULL,
    fulfil_until timestamptz,
    ended_at timestamptz,
    coupon_id text NOT NULL,
    code text NOT NULL,
    revision bigint NOT NULL,
    CONSTRAINT shop_orders_state_known CHECK (state IN ('open', 'fulfilled', 'cancelled')),
    CONSTRAINT shop_orders_over CHECK ((state = 'open') = (ended_at IS NULL))
)"""

_CODES = """
CREATE TABLE shop_codes (
    item_id text NOT NULL REFERENCES shop_items,
    code text NOT NULL,
    order_id text UNIQUE REFERENCES shop_orders,
    PRIMARY KEY (item_id, code)
)"""

_INDEXES = (
    """CREATE UNIQUE INDEX club_memberships_once ON club_memberships (club_id, member_id)
    WHERE state IN ('applied', 'active')""",
    "CREATE INDEX club_memberships_by_club ON club_memberships (club_id, club_membership_id)",
    "CREATE INDEX club_memberships_by_member ON club_memberships (member_id, club_membership_id)",
    "CREATE INDEX club_memberships_due ON club_memberships (due_at, club_membership_id) WHERE state = 'active'",
    "CREATE INDEX merchant_subjects_by_merchant ON merchant_subjects (merchant_id)",
    "CREATE INDEX merchant_lines_by_period ON merchant_lines (merchant_id, settled_at, line_id)",
    "CREATE INDEX merchant_lines_by_member ON merchant_lines (member_id, merchant_id, occurred_at)",
    "CREATE INDEX shop_stock_changes_by_item ON shop_stock_changes (item_id)",
    "CREATE INDEX shop_orders_by_member ON shop_orders (member_id, order_id)",
    "CREATE INDEX shop_orders_open ON shop_orders (order_id) WHERE state = 'open'",
    "CREATE INDEX shop_orders_due ON shop_orders (fulfil_until, order_id) WHERE state = 'open'",
    "CREATE INDEX shop_codes_free ON shop_codes (item_id, code) WHERE order_id IS NULL",
)


def upgrade() -> None:
    """Makes everything."""
    for statement in (_CHANGES, _CLUBS, _CLUB_MEMBERSHIPS, _MERCHANTS, _MERCHANT_SUBJECTS, _MEMBER_CODES):
        op.execute(statement)
    for statement in (_CODE_FAILURES, _VERIFICATIONS, _LINES, _CLOSINGS):
        op.execute(statement)
    for statement in (_ITEMS, _STOCK_CHANGES, _ORDERS, _CODES, *_INDEXES):
        op.execute(statement)
    append_only(
        op,
        "catalogue_changes",
        "merchant_verifications",
        "merchant_lines",
        "merchant_closings",
        "shop_stock_changes",
    )
