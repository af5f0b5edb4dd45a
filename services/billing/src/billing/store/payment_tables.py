"""Tables of payments through channels, of what their providers call back, and of automatic top-up.

A payment's row says where it stands; its steps, charge-backs and attempts are only ever appended. At most one top-up of
an account is on its way: the database itself sees to that.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from billing.store.tables import METADATA

_ON_ITS_WAY = text("state IN ('requested', 'pending')")

PAYMENT_TOKENS = Table(
    "payment_tokens",
    METADATA,
    Column("account_id", Text, ForeignKey("accounts.account_id"), primary_key=True),
    Column("token_id", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("provider_token", Text, nullable=False, doc="the provider's alias; leaves here for the provider alone"),
    Column("display_name", Text, nullable=False),
    Column("expires_at", DateTime(timezone=True)),
    Column("stored_at", DateTime(timezone=True), nullable=False),
    Column("removed_at", DateTime(timezone=True)),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Index("payment_tokens_alias", "channel", "provider_token", postgresql_where=text("removed_at IS NULL")),
)

PAYMENT_ALIASES = Table(
    "payment_aliases",
    METADATA,
    Column("channel", Text, primary_key=True),
    Column("provider_token", Text, primary_key=True, doc="the provider's alias, while a means of payment lives by it"),
    Column("customer_id", Text, nullable=False, doc="whose it is: who stored it first"),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)

PAYMENTS = Table(
    "payments",
    METADATA,
    Column("payment_id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.account_id"), nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("bill_id", Text, ForeignKey("bills.bill_id")),
    Column("token_id", Text),
    Column("return_url", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("provider_reference", Text),
    Column("redirect_url", Text, nullable=False, server_default=""),
    Column("decline_code", Text, nullable=False, server_default=""),
    Column("transaction_id", Text, unique=True, doc="the recharge it became"),
    Column("bill_missed", Boolean, nullable=False, server_default=text("false")),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("settled_at", DateTime(timezone=True)),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("counted_until", DateTime(timezone=True), doc="null counts as on its way until it is final"),
    Column("counts", Boolean, nullable=False, server_default=text("true"), doc="whether it counts as on its way still"),
    Column("next_ask_at", DateTime(timezone=True), doc="when the provider is called next; null once it is final"),
    Column("asked", Integer, nullable=False, server_default=text("0"), doc="how often the provider was called"),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("channel", "provider_reference"),
    ForeignKeyConstraint(["account_id", "token_id"], ["payment_tokens.account_id", "payment_tokens.token_id"]),
    CheckConstraint("amount_minor > 0", name="payments_amount"),
    Index(
        "one_top_up_in_flight",
        "account_id",
        unique=True,
        postgresql_where=text("origin = 'top_up' AND state IN ('requested', 'pending')"),
    ),
    Index("payments_account", "account_id", "payment_id"),
    Index("payments_customer", "customer_id", "payment_id"),
    Index("payments_on_their_way", "account_id", postgresql_where=_ON_ITS_WAY),
    Index(
        "payments_counted_until", "counted_until", postgresql_where=text("counts AND state IN ('requested', 'pending')")
    ),
    Index("payments_to_ask", "channel", "next_ask_at", "payment_id", postgresql_where=text("next_ask_at IS NOT NULL")),
)

PAYMENT_STEPS = Table(
    "payment_steps",
    METADATA,
    Column("payment_id", Text, ForeignKey("payments.payment_id"), primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("state", Text, nullable=False),
    Column("because", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)

PAYMENT_CALLBACKS = Table(
    "payment_callbacks",
    METADATA,
    Column("channel", Text, primary_key=True),
    Column("webhook_id", Text, primary_key=True),
    Column("payment_id", Text, ForeignKey("payments.payment_id"), nullable=False),
    Column("type", Text, nullable=False),
    Column("refund_id", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("provider_sequence", BigInteger, nullable=False),
    Column("decline_code", Text, nullable=False),
    Column("body_sha256", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("applied", Boolean, nullable=False, doc="false while it waits for what must come before it"),
    Index("payment_callbacks_waiting", "payment_id", postgresql_where=text("NOT applied")),
)

PAYMENT_REFUNDS = Table(
    "payment_refunds",
    METADATA,
    Column("refund_id", Text, primary_key=True),
    Column("payment_id", Text, ForeignKey("payments.payment_id"), nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("hold_id", Text, nullable=False, unique=True, doc="what is set aside in the balance"),
    Column("transaction_id", Text, unique=True, doc="what took it out of the balance"),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("settled_at", DateTime(timezone=True)),
    Column("next_ask_at", DateTime(timezone=True)),
    Column("asked", Integer, nullable=False, server_default=text("0")),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Index("payment_refunds_payment", "payment_id"),
    Index("payment_refunds_to_ask", "next_ask_at", postgresql_where=text("next_ask_at IS NOT NULL")),
)

PAYMENT_CHARGEBACKS = Table(
    "payment_chargebacks",
    METADATA,
    Column("payment_id", Text, ForeignKey("payments.payment_id"), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, doc="the provider's"),
    Column("amount_minor", BigInteger, nullable=False),
    Column("owed_minor", BigInteger, nullable=False),
    Column("transaction_id", Text, nullable=False, unique=True),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)

TOP_UP_RULES = Table(
    "top_up_rules",
    METADATA,
    Column("account_id", Text, ForeignKey("accounts.account_id"), primary_key=True),
    Column("token_id", Text, nullable=False),
    Column("minimum_minor", BigInteger, nullable=False),
    Column("monthly_limit_minor", BigInteger),
    Column("enabled", Boolean, nullable=False),
    Column("declines", Integer, nullable=False, server_default=text("0"), doc="in a row"),
    Column("next_attempt_at", DateTime(timezone=True)),
    Column("paused_because", Text, nullable=False, server_default=""),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    ForeignKeyConstraint(["account_id", "token_id"], ["payment_tokens.account_id", "payment_tokens.token_id"]),
    Index("top_up_rules_acting", "account_id", postgresql_where=text("enabled AND paused_because = ''")),
)

TOP_UP_ATTEMPTS = Table(
    "top_up_attempts",
    METADATA,
    Column("bill_id", Text, ForeignKey("bills.bill_id"), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("payment_id", Text, ForeignKey("payments.payment_id"), nullable=False, unique=True),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)
