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
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
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
    Column("display_name", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("threshold_minor", BigInteger, nullable=False),
    Column("target_balance_minor", BigInteger, nullable=False),
    Column("due_days", Integer, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False, doc="of this revision"),
    CheckConstraint("threshold_minor >= 0 AND target_balance_minor >= threshold_minor", name="bill_plans_amounts"),
    CheckConstraint("due_days >= 0 AND revision > 0", name="bill_plans_signs"),
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
    Column("crossed_threshold_minor", BigInteger, doc="set while the balance is below the threshold it crossed"),
    Column("crossed_version", BigInteger, doc="account version of the debit that crossed"),
    CheckConstraint("num_nulls(crossed_threshold_minor, crossed_version) IN (0, 2)", name="accounts_crossing"),
    CheckConstraint("credit_limit_minor >= 0", name="accounts_credit_limit"),
    Index("accounts_customer", "customer_id", "account_id"),
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
    Column("transaction_id", Text, nullable=False, unique=True, doc="the debit that crossed: one bill for each"),
    Column("issued_at", DateTime(timezone=True), nullable=False),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("amount_minor > 0 AND bill_number > 0", name="bills_signs"),
    CheckConstraint("balance_at_issue_minor < threshold_minor", name="bills_crossing"),
    Index("bills_account", "account_id", "bill_number"),
    Index("bills_customer", "customer_id", "bill_number"),
)

BILL_PAYMENTS = Table(
    "bill_payments",
    METADATA,
    Column("bill_id", Text, ForeignKey("bills.bill_id"), primary_key=True, doc="a bill is paid once"),
    Column("transaction_id", Text, nullable=False, unique=True),
    Column("paid_at", DateTime(timezone=True), nullable=False, doc="business time"),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)

BILL_BOOKS = Table(
    "bill_books",
    METADATA,
    Column("book", Text, primary_key=True),
    Column("last_number", BigInteger, nullable=False),
    CheckConstraint("last_number >= 0", name="bill_books_last_number"),
)
