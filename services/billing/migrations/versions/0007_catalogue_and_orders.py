"""Products, prices and discounts in versions; orders, subscriptions and reckonings."""

from alembic import op
from chassis.migrations import append_only

revision = "0007"
down_revision = "0006"

_CATALOGUE = """
CREATE TABLE products (
    product_id text PRIMARY KEY,
    display_name text NOT NULL,
    display_name_zh text NOT NULL,
    family text NOT NULL,
    kind text NOT NULL,
    cycle_unit text,
    cycle_count integer,
    unit text NOT NULL,
    refundable boolean NOT NULL,
    retired boolean NOT NULL,
    revision bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT products_kind CHECK (kind IN ('one_off', 'recurring', 'usage')),
    CONSTRAINT products_cycle CHECK (num_nulls(cycle_unit, cycle_count) = CASE kind WHEN 'recurring' THEN 0 ELSE 2 END)
);
CREATE INDEX products_family ON products (family, product_id);
CREATE TABLE prices (
    product_id text NOT NULL REFERENCES products,
    currency text NOT NULL,
    version bigint NOT NULL,
    price_number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    effective_from timestamptz NOT NULL,
    amount_minor bigint,
    tier_mode text,
    tiers jsonb,
    package_size bigint NOT NULL,
    tax_basis_points integer NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (product_id, currency, version),
    CONSTRAINT prices_amount CHECK (amount_minor >= 0),
    CONSTRAINT prices_one CHECK (num_nulls(amount_minor, tier_mode) = 1),
    CONSTRAINT prices_tiers CHECK (num_nulls(tier_mode, tiers) IN (0, 2)),
    CONSTRAINT prices_tax CHECK (tax_basis_points BETWEEN 0 AND 10000)
);
CREATE INDEX prices_in_force ON prices (product_id, currency, effective_from, version);
CREATE INDEX prices_newest ON prices (product_id, price_number);
CREATE TABLE discounts (
    discount_id text PRIMARY KEY,
    revision bigint NOT NULL
);
CREATE TABLE discount_versions (
    discount_id text NOT NULL REFERENCES discounts,
    revision bigint NOT NULL,
    display_name text NOT NULL,
    program_id text NOT NULL,
    tier_id text NOT NULL,
    product_ids text[] NOT NULL,
    families text[] NOT NULL,
    basis_points integer NOT NULL,
    effective_from timestamptz NOT NULL,
    effective_until timestamptz,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (discount_id, revision),
    CONSTRAINT discount_versions_share CHECK (basis_points BETWEEN 1 AND 10000)
);
"""
_ORDERS = """
CREATE TABLE orders (
    order_id text PRIMARY KEY,
    order_number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    account_id text NOT NULL REFERENCES accounts,
    customer_id text NOT NULL,
    state text NOT NULL,
    items jsonb NOT NULL,
    coupon_ids text[] NOT NULL,
    points bigint NOT NULL,
    points_hold_id text NOT NULL,
    charge_ids text[] NOT NULL,
    rejected_because text NOT NULL,
    placed_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT orders_state CHECK (state IN ('reserving', 'placed', 'rejected')),
    CONSTRAINT orders_rejected CHECK ((state = 'rejected') = (rejected_because <> '')),
    CONSTRAINT orders_charged CHECK ((state = 'placed') = (cardinality(charge_ids) > 0))
);
CREATE INDEX orders_customer ON orders (customer_id, order_number);
CREATE INDEX orders_account ON orders (account_id, order_number);
CREATE INDEX orders_reserving ON orders (placed_at) WHERE state = 'reserving';
CREATE TABLE subscriptions (
    subscription_id text PRIMARY KEY,
    account_id text NOT NULL REFERENCES accounts,
    customer_id text NOT NULL,
    product_id text NOT NULL REFERENCES products,
    quantity integer NOT NULL,
    subscriber_id text NOT NULL,
    currency text NOT NULL,
    state text NOT NULL,
    anchor_day integer NOT NULL,
    cycle_start date NOT NULL,
    cycle_end date NOT NULL,
    cycle_charge_id text NOT NULL,
    cycle_charged_minor bigint NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    order_id text NOT NULL REFERENCES orders,
    revision bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT subscriptions_state CHECK (state IN ('active', 'past_due', 'resting', 'cancelling', 'ended')),
    CONSTRAINT subscriptions_cycle CHECK (cycle_start < cycle_end AND anchor_day BETWEEN 1 AND 31),
    CONSTRAINT subscriptions_signs CHECK (quantity > 0 AND cycle_charged_minor >= 0 AND revision > 0),
    CONSTRAINT subscriptions_ended CHECK ((state = 'ended') = (ended_at IS NOT NULL))
);
CREATE INDEX subscriptions_due ON subscriptions (cycle_end, subscription_id)
    WHERE state IN ('active', 'past_due', 'cancelling');
CREATE INDEX subscriptions_account ON subscriptions (account_id, subscription_id);
CREATE INDEX subscriptions_customer ON subscriptions (customer_id, subscription_id);
CREATE TABLE subscription_steps (
    subscription_id text NOT NULL REFERENCES subscriptions,
    revision bigint NOT NULL,
    state text NOT NULL,
    product_id text NOT NULL,
    quantity integer NOT NULL,
    cycle_start date NOT NULL,
    cycle_end date NOT NULL,
    cycle_charge_id text NOT NULL,
    cycle_charged_minor bigint NOT NULL,
    because text NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (subscription_id, revision)
);
CREATE TABLE reckonings (
    reckoning_id text PRIMARY KEY,
    currency text NOT NULL,
    total_minor bigint NOT NULL,
    tax_minor bigint NOT NULL,
    rated_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL
);
CREATE TABLE reckoning_lines (
    reckoning_id text NOT NULL REFERENCES reckonings,
    line integer NOT NULL,
    kind text NOT NULL,
    product_id text NOT NULL,
    description text NOT NULL,
    amount_minor bigint NOT NULL,
    quantity bigint NOT NULL,
    of_quantity bigint NOT NULL,
    unit_minor bigint,
    unit_nanos integer,
    reference text NOT NULL,
    price_version bigint NOT NULL,
    PRIMARY KEY (reckoning_id, line)
);
"""


def upgrade() -> None:
    """Makes the tables and closes those that are only appended to."""
    for statement in (_CATALOGUE + _ORDERS).strip().split(";\n"):
        op.execute(statement.rstrip(";"))
    append_only(op, "prices", "discount_versions", "subscription_steps", "reckonings", "reckoning_lines")
