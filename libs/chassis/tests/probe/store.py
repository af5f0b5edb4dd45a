"""Two tables: sums by account, and which events had an effect."""

from chassis.tables import chassis_tables
from sqlalchemy import BigInteger, Column, Identity, MetaData, Table, Text

METADATA = MetaData()
chassis_tables(METADATA)
SUMS = Table(
    "sums", METADATA, Column("account_id", Text, primary_key=True), Column("total", BigInteger, nullable=False)
)
EFFECTS = Table(
    "effects",
    METADATA,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("charge_id", Text, nullable=False),
)
