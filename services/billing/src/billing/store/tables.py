"""Billing's tables, beside the ledger's and the chassis's.

Balances are the ledger's alone; an account's row here is the lock under which its balance, its crossing and its bills
change. Charges, bills and payments are only ever appended: privileges and a trigger keep them as they were.
"""

from chassis.tables import chassis_tables
from ledger import ledger_tables
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    MetaData,
    Table,
    Text,
    text,
)

METADATA = MetaData()
chassis_tables(METADATA)
ledger_tables(METADATA)

BOOK = "main"
"""The one book whose bills are numbered without gaps."""

BILL_PLANS = Table(
    "bill_plans",
    METADATA,
    Column("plan_id", Text, primary_key=True),
    Column("currency", Text, nullable=False),
    Column("revision", BigInteger, nullable=False, doc="of the newest version"),
    Column("recorded_at", DateTime(timezone=True), nullable=False, doc="of this revision"),
    CheckConstraint("revision > 0", name="bill_plans_revision"),
)

ACCOUNTS = Table(
    "accounts",
    METADATA,
    Column("account_id", Text, primary_key=True),
    Column("customer_id", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("plan_id", Text, ForeignKey("bill_plans.plan_id")),
    Column("opened_at", DateTime(timezone=True), nullable=False, doc="business time"),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("credit_limit_minor", BigInteger, nullable=False, server_default="0", doc="how far it may go below zero"),
    Column("has_payers", Boolean, nullable=False, server_default="false", doc="whether others pay its charges"),
    Column("crossed_threshold_minor", BigInteger, doc="set while the measure is below the threshold it crossed"),
    Column("crossed_version", BigInteger, doc="account version of the step that crossed"),
    Column("crossed_cause", Text),
    Column("crossed_at", DateTime(timezone=True), doc="business time of the step that crossed"),
    Column("bill_at", DateTime(timezone=True), doc="when the crossing is to be billed; null once it is"),
    Column("due_minor", BigInteger, doc="what the threshold to come back to has on top, as long as it is due"),
    Column("due_of", Text, doc="the subscription whose cycle that is"),
    Column("overdue_at", DateTime(timezone=True), doc="when the next step about its unpaid bill is due"),
    Column("day_threshold_minor", BigInteger, doc="the threshold by spend, as last worked out"),
    Column("day_threshold_day", Date, nullable=False, server_default=text("'1970-01-01'"), doc="for which day"),
    Column("state", Text, nullable=False, server_default=text("'active'")),
    Column("state_revision", BigInteger, nullable=False, server_default=text("0")),
    Column("state_because", Text),
    Column("state_since", DateTime(timezone=True)),
    CheckConstraint(
        "num_nulls(crossed_threshold_minor, crossed_version, crossed_cause, crossed_at) IN (0, 4) "
        "AND (crossed_version IS NOT NULL OR (bill_at IS NULL AND overdue_at IS NULL))",
        name="accounts_crossing",
    ),
    CheckConstraint(
        "state IN ('active', 'suspended') AND (state_revision = 0) = (state_because IS NULL) "
        "AND num_nulls(state_because, state_since) IN (0, 2)",
        name="accounts_state",
    ),
    CheckConstraint(
        "num_nulls(due_minor, due_of) IN (0, 2) "
        "AND (due_minor IS NULL OR (due_minor > 0 AND crossed_version IS NOT NULL))",
        name="accounts_due",
    ),
    CheckConstraint("credit_limit_minor >= 0", name="accounts_credit_limit"),
    Index("accounts_customer", "customer_id", "account_id"),
    Index("accounts_crossed", "account_id", postgresql_where=text("crossed_version IS NOT NULL")),
    Index("accounts_bill_at", "bill_at", "account_id", postgresql_where=text("bill_at IS NOT NULL")),
    Index("accounts_overdue_at", "overdue_at", "account_id", postgresql_where=text("overdue_at IS NOT NULL")),
    Index("accounts_day_threshold", "plan_id", "day_threshold_day"),
)

CHARGES = Table(
    "charges",
    METADATA,
    Column("charge_id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.account_id"), nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("description", Text, nullable=False),
    Column("transaction_id", Text, unique=True, doc="null for a charge of zero, which the ledger does not know"),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("category", Text, nullable=False, server_default="rated"),
    Column("gift_minor", BigInteger, nullable=False, server_default="0", doc="of the amount, what gift credit paid"),
    Column(
        "payer_minor", BigInteger, nullable=False, server_default="0", doc="of the amount, what other accounts paid"
    ),
    Column("late", Boolean, nullable=False, server_default="false", doc="its month was closed when it came"),
    Column("external_id", Text),
    Column("product_id", Text),
    Column("order_id", Text),
    Column("subscription_id", Text),
    Column("reservation_id", Text),
    CheckConstraint("amount_minor >= 0", name="charges_amount"),
    CheckConstraint("(amount_minor = 0) = (transaction_id IS NULL)", name="charges_transaction"),
    Index("charges_account", "account_id", "charge_id"),
)

BILLS = Table(
    "bills",
    METADATA,
    Column("bill_id", Text, primary_key=True),
    Column("bill_number", BigInteger, nullable=False, unique=True),
    Column("account_id", Text, ForeignKey("accounts.account_id"), nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("balance_at_issue_minor", BigInteger, nullable=False),
    Column("threshold_minor", BigInteger, nullable=False),
    Column("transaction_id", Text, doc="the posting that crossed, or that a correction is for; null where none was"),
    Column("issued_at", DateTime(timezone=True), nullable=False),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("kind", Text, nullable=False, server_default=text("'original'")),
    Column("corrects_bill_id", Text, ForeignKey("bills.bill_id")),
    Column("cause", Text, doc="of the crossing"),
    Column("plan_id", Text),
    Column("plan_revision", BigInteger),
    Column("crossing_version", BigInteger, doc="account version of the crossing: it names the stay"),
    Column("credit_limit_at_issue_minor", BigInteger, nullable=False, server_default=text("0")),
    Column("reason", Text, nullable=False, server_default=text("''")),
    CheckConstraint("amount_minor > 0 AND bill_number > 0", name="bills_signs"),
    CheckConstraint(
        "kind <> 'original' OR balance_at_issue_minor + credit_limit_at_issue_minor < threshold_minor",
        name="bills_measure",
    ),
    CheckConstraint(
        "kind IN ('original', 'supplement', 'credit_note') AND (kind = 'original') = (corrects_bill_id IS NULL)",
        name="bills_kind",
    ),
    Index("bills_account", "account_id", "bill_number"),
    Index("bills_customer", "customer_id", "bill_number"),
    Index(
        "bills_transaction",
        "transaction_id",
        "account_id",
        unique=True,
        postgresql_where=text("kind <> 'credit_note'"),
    ),
    Index(
        "bills_one_per_stay",
        "account_id",
        "crossing_version",
        unique=True,
        postgresql_where=text("kind = 'original'"),
    ),
    Index("bills_corrects", "corrects_bill_id", postgresql_where=text("corrects_bill_id IS NOT NULL")),
)

BILL_PAYMENTS = Table(
    "bill_payments",
    METADATA,
    Column("bill_id", Text, ForeignKey("bills.bill_id"), primary_key=True, doc="a bill is paid once"),
    Column("transaction_id", Text, nullable=False, unique=True),
    Column("amount_minor", BigInteger, doc="what the bill still asked for; null is its whole amount"),
    Column("paid_at", DateTime(timezone=True), nullable=False, doc="business time"),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("amount_minor > 0", name="bill_payments_amount"),
)

BILL_BOOKS = Table(
    "bill_books",
    METADATA,
    Column("book", Text, primary_key=True),
    Column("last_number", BigInteger, nullable=False),
    CheckConstraint("last_number >= 0", name="bill_books_last_number"),
)
