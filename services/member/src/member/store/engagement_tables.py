"""The tables of tasks and activities."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from member.store.tables import METADATA

tasks = Table(
    "tasks",
    METADATA,
    Column("task_id", Text, primary_key=True),
    Column("program_id", Text, ForeignKey("programs.program_id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("active_from", DateTime(timezone=True), nullable=False),
    Column("active_until", DateTime(timezone=True)),
    Column("document", JSONB, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("put_by", Text, nullable=False),
    Column("put_at", DateTime(timezone=True), nullable=False),
    Column("points_given", BigInteger, nullable=False, server_default="0", comment="counted while there is a budget"),
    Column("rewards_given", BigInteger, nullable=False, server_default="0", comment="counted while there is a budget"),
    CheckConstraint("points_given >= 0 AND rewards_given >= 0", name="tasks_given_not_negative"),
    Index("tasks_by_program", "program_id", "task_id"),
)

task_versions = Table(
    "task_versions",
    METADATA,
    Column("task_id", Text, ForeignKey("tasks.task_id"), primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("document", JSONB, nullable=False),
    Column("put_by", Text, nullable=False),
    Column("put_at", DateTime(timezone=True), nullable=False),
)

task_books = Table(
    "task_books",
    METADATA,
    Column("task_id", Text, ForeignKey("tasks.task_id"), primary_key=True),
    Column("member_id", Text, ForeignKey("members.member_id"), primary_key=True),
    Column("signed", JSONB, nullable=False, server_default="[]", comment="runs of days signed in on, newest last"),
    Column("rewarded", JSONB, nullable=False, server_default="{}", comment="last day of the streak, by milestone"),
    comment="A member in a task; who counts anything of theirs locks the row first.",
)

task_days = Table(
    "task_days",
    METADATA,
    Column("task_id", Text, primary_key=True),
    Column("member_id", Text, primary_key=True),
    Column("day", Date, primary_key=True, comment="in the operator's calendar"),
    Column("times", BigInteger, nullable=False),
    Column("completions", BigInteger, nullable=False),
    ForeignKeyConstraint(
        ["task_id", "member_id"], ["task_books.task_id", "task_books.member_id"], name="task_days_of_a_book"
    ),
    CheckConstraint("times > 0 AND completions >= 0", name="task_days_sensible"),
)

task_proofs = Table(
    "task_proofs",
    METADATA,
    Column("task_id", Text, ForeignKey("tasks.task_id"), primary_key=True),
    Column("proof_id", Text, primary_key=True),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)

task_records = Table(
    "task_records",
    METADATA,
    Column("sequence", BigInteger, Identity(always=True), primary_key=True),
    Column("source", Text, nullable=False, unique=True),
    Column("task_id", Text, nullable=False),
    Column("task_version", BigInteger, nullable=False),
    Column("member_id", Text, ForeignKey("members.member_id"), nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("day", Date, nullable=False),
    Column("times", BigInteger, nullable=False),
    Column("completions", BigInteger, nullable=False),
    Column("proof_id", Text, nullable=False),
    Column("given", JSONB, nullable=False),
    Column("withheld", JSONB, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    ForeignKeyConstraint(
        ["task_id", "task_version"],
        ["task_versions.task_id", "task_versions.version"],
        name="task_records_version_known",
    ),
    Index("task_records_by_member", "member_id", "sequence"),
)

activities = Table(
    "activities",
    METADATA,
    Column("activity_id", Text, primary_key=True),
    Column("program_id", Text, ForeignKey("programs.program_id"), nullable=False),
    Column("state", Text, nullable=False),
    Column("starts_at", DateTime(timezone=True), nullable=False),
    Column("document", JSONB, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("capacity", Integer, nullable=False),
    Column("seats_taken", Integer, nullable=False),
    Column("settled_to", DateTime(timezone=True), nullable=False, comment="latest business time that was acted at"),
    Column("next_due_at", DateTime(timezone=True), comment="when the clock has something to do; null when nothing"),
    Column("check_in_code", Text, nullable=False),
    Column("put_by", Text, nullable=False),
    Column("put_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("state IN ('draft', 'published', 'cancelled', 'closed')", name="activities_state_known"),
    CheckConstraint("seats_taken BETWEEN 0 AND capacity", name="activities_never_overbooked"),
    Index("activities_by_program", "program_id", "activity_id"),
    Index("activities_due", "next_due_at", postgresql_where=text("next_due_at IS NOT NULL")),
)

activity_versions = Table(
    "activity_versions",
    METADATA,
    Column("activity_id", Text, ForeignKey("activities.activity_id"), primary_key=True),
    Column("revision", BigInteger, primary_key=True),
    Column("state", Text, nullable=False),
    Column("document", JSONB, nullable=False),
    Column("put_by", Text, nullable=False),
    Column("put_at", DateTime(timezone=True), nullable=False),
)

registrations = Table(
    "activity_registrations",
    METADATA,
    Column("registration_id", Text, primary_key=True),
    Column("sequence", BigInteger, Identity(always=True), unique=True),
    Column("activity_id", Text, ForeignKey("activities.activity_id"), nullable=False),
    Column("member_id", Text, ForeignKey("members.member_id"), nullable=False),
    Column("tier_id", Text, nullable=False, comment="held when registering"),
    Column("tier_rank", Integer, nullable=False),
    Column("party_size", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("fee_points", BigInteger, nullable=False),
    Column("hold_id", Text, nullable=False, comment="of the fee; empty where there is none"),
    Column("registered_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("leaving_reason", Text, nullable=False, server_default=""),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    CheckConstraint(
        "state IN ('seated', 'waiting', 'left', 'attended', 'missed')", name="activity_registrations_state_known"
    ),
    CheckConstraint("party_size > 0 AND fee_points >= 0", name="activity_registrations_sensible"),
    Index(
        "activity_registrations_once",
        "activity_id",
        "member_id",
        unique=True,
        postgresql_where=text("state <> 'left'"),
    ),
    Index("activity_registrations_by_state", "activity_id", "state"),
    Index("activity_registrations_in_order", "activity_id", "sequence"),
    Index("activity_registrations_by_member", "member_id", "sequence"),
)

activity_bars = Table(
    "activity_bars",
    METADATA,
    Column("member_id", Text, ForeignKey("members.member_id"), primary_key=True),
    Column("barred_until", DateTime(timezone=True), nullable=False),
    Column("activity_id", Text, ForeignKey("activities.activity_id"), nullable=False),
    comment="Members who did not come and may not register for a while.",
)
