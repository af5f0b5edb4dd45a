"""The tables of products and their prices, of orders, subscriptions and reckonings.

Versions of prices and discounts, steps of subscriptions and reckonings are only ever appended.
"""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from billing.store.tables import METADATA

PRODUCTS = Table(
    "products",
    METADATA,
    Column("product_id", Text, primary_key=True),
    Column("display_name", Text, nullable=False),
    Column("display_name_zh", Text, nullable=False),
    Column("family", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("cycle_unit", Text, doc="of a recurring product"),
    Column("cycle_count", Integer),
    Column("unit", Text, nullable=False, doc="of a usage product, else empty"),
    Column("refundable", Boolean, nullable=False),
    Column("retired", Boolean, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False, doc="of this revision"),
    Index("products_family", "family", "product_id"),
)

PRICES = Table(
    "prices",
    METADATA,
    Column("product_id", Text, ForeignKey("products.product_id"), primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("price_number", BigInteger, Identity(always=True), unique=True, doc="the order in which they came"),
    Column("effective_from", DateTime(timezone=True), nullable=False, doc="business time"),
    Column("amount_minor", BigInteger, doc="of a one-off product or a cycle"),
    Column("tier_mode", Text, doc="of a usage price, with its tiers"),
    Column("tiers", JSONB(none_as_null=True)),
    Column("package_size", BigInteger, nullable=False, doc="0 where there are no packages"),
    Column("tax_basis_points", Integer, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Index("prices_in_force", "product_id", "currency", "effective_from", "version"),
    Index("prices_newest", "product_id", "price_number"),
)

DISCOUNTS = Table(
    "discounts",
    METADATA,
    Column("discount_id", Text, primary_key=True),
    Column("revision", BigInteger, nullable=False, doc="the version that holds"),
)

DISCOUNT_VERSIONS = Table(
    "discount_versions",
    METADATA,
    Column("discount_id", Text, ForeignKey("discounts.discount_id"), primary_key=True),
    Column("revision", BigInteger, primary_key=True),
    Column("display_name", Text, nullable=False),
    Column("program_id", Text, nullable=False),
    Column("tier_id", Text, nullable=False),
    Column("product_ids", ARRAY(Text), nullable=False),
    Column("families", ARRAY(Text), nullable=False),
    Column("basis_points", Integer, nullable=False),
    Column("effective_from", DateTime(timezone=True), nullable=False),
    Column("effective_until", DateTime(timezone=True), doc="exclusive"),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)

ORDERS = Table(
    "orders",
    METADATA,
    Column("order_id", Text, primary_key=True),
    Column("order_number", BigInteger, Identity(always=True), unique=True, doc="the order in which they came"),
    Column("account_id", Text, ForeignKey("accounts.account_id"), nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("items", JSONB, nullable=False),
    Column("coupon_ids", ARRAY(Text), nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("points_hold_id", Text, nullable=False, doc="at the member service; empty for none"),
    Column("charge_ids", ARRAY(Text), nullable=False, doc="one for each item, in their order"),
    Column("rejected_because", Text, nullable=False),
    Column("placed_at", DateTime(timezone=True), nullable=False, doc="business time"),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Index("orders_customer", "customer_id", "order_number"),
    Index("orders_account", "account_id", "order_number"),
    Index("orders_reserving", "placed_at", postgresql_where=text("state = 'reserving'")),
)

SUBSCRIPTIONS = Table(
    "subscriptions",
    METADATA,
    Column("subscription_id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.account_id"), nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("product_id", Text, ForeignKey("products.product_id"), nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("subscriber_id", Text, nullable=False),
    Column("currency", Text, nullable=False, doc="of its account"),
    Column("state", Text, nullable=False),
    Column("anchor_day", Integer, nullable=False),
    Column("cycle_start", Date, nullable=False, doc="of the cycle that was charged last"),
    Column("cycle_end", Date, nullable=False, doc="exclusive"),
    Column("cycle_charge_id", Text, nullable=False),
    Column("cycle_charged_minor", BigInteger, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("order_id", Text, ForeignKey("orders.order_id"), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False, doc="of this revision"),
    Index(
        "subscriptions_due",
        "cycle_end",
        "subscription_id",
        postgresql_where=text("state IN ('active', 'past_due', 'cancelling')"),
    ),
    Index("subscriptions_resting", "cycle_end", "subscription_id", postgresql_where=text("state = 'resting'")),
    Index("subscriptions_account", "account_id", "subscription_id"),
    Index("subscriptions_customer", "customer_id", "subscription_id"),
)

SUBSCRIPTION_STEPS = Table(
    "subscription_steps",
    METADATA,
    Column("subscription_id", Text, ForeignKey("subscriptions.subscription_id"), primary_key=True),
    Column("revision", BigInteger, primary_key=True),
    Column("state", Text, nullable=False),
    Column("product_id", Text, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("cycle_start", Date, nullable=False),
    Column("cycle_end", Date, nullable=False),
    Column("cycle_charge_id", Text, nullable=False),
    Column("cycle_charged_minor", BigInteger, nullable=False),
    Column("because", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)

RECKONINGS = Table(
    "reckonings",
    METADATA,
    Column("reckoning_id", Text, primary_key=True, doc="that of the charge or the refund"),
    Column("currency", Text, nullable=False),
    Column("total_minor", BigInteger, nullable=False),
    Column("tax_minor", BigInteger, nullable=False),
    Column("rated_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)

RECKONING_LINES = Table(
    "reckoning_lines",
    METADATA,
    Column("reckoning_id", Text, ForeignKey("reckonings.reckoning_id"), primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("product_id", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("of_quantity", BigInteger, nullable=False),
    Column("unit_minor", BigInteger),
    Column("unit_nanos", Integer),
    Column("reference", Text, nullable=False),
    Column("price_version", BigInteger, nullable=False),
)
