"""The three tables that every service's database has: handled requests, outbox, dead letters."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)


def chassis_tables(metadata: MetaData) -> None:
    """Adds the chassis's tables to a service's metadata, so that its migrations can be compared with it."""
    _handled_requests(metadata)
    _outbox(metadata)
    _dead_letters(metadata)


def _handled_requests(metadata: MetaData) -> None:
    Table(
        "handled_requests",
        metadata,
        Column("caller", Text, primary_key=True),
        Column("use_case", Text, primary_key=True),
        Column("request_id", Text, primary_key=True),
        Column("fingerprint", LargeBinary, nullable=False),
        Column("reply", LargeBinary),
        Column("recorded_at", DateTime(timezone=True), nullable=False),
        Index("handled_requests_recorded_at", "recorded_at"),
    )


def _outbox(metadata: MetaData) -> None:
    Table(
        "outbox",
        metadata,
        Column("id", BigInteger, Identity(always=True), primary_key=True),
        Column("event_id", Text, nullable=False, unique=True),
        Column("event_type", Text, nullable=False),
        Column("subject", Text, nullable=False),
        Column("aggregate_id", Text, nullable=False),
        Column("payload", LargeBinary, nullable=False),
        Column("trace_parent", Text, nullable=False, server_default=""),
        Column("occurred_at", DateTime(timezone=True), nullable=False),
        Column("recorded_at", DateTime(timezone=True), nullable=False),
        Column("published_at", DateTime(timezone=True)),
        Column("republished", Integer, nullable=False, server_default="0"),
        Index("outbox_unpublished", "id", postgresql_where=text("published_at IS NULL")),
        Index("outbox_recorded_at", "recorded_at"),
    )


def _dead_letters(metadata: MetaData) -> None:
    Table(
        "dead_letters",
        metadata,
        Column("source", Text, primary_key=True),
        Column("event_id", Text, primary_key=True),
        Column("event_type", Text, nullable=False),
        Column("subject", Text, nullable=False),
        Column("payload", LargeBinary, nullable=False),
        Column("trace_parent", Text, nullable=False, server_default=""),
        Column("occurred_at", DateTime(timezone=True), nullable=False),
        Column("error", Text, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("recorded_at", DateTime(timezone=True), nullable=False),
        Column("replayed_at", DateTime(timezone=True)),
        Index("dead_letters_waiting", "recorded_at", "event_id", postgresql_where=text("replayed_at IS NULL")),
    )
