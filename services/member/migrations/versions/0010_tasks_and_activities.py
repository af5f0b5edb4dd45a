"""Tasks with their streaks, and activities with their places."""

from alembic import op
from chassis.migrations import append_only

revision = "0010"
down_revision = "0009"

_TASKS = """
CREATE TABLE tasks (
    task_id text PRIMARY KEY,
    program_id text NOT NULL REFERENCES programs,
    kind text NOT NULL,
    active_from timestamptz NOT NULL,
    active_until timestamptz,
    document jsonb NOT NULL,
    version bigint NOT NULL,
    put_by text NOT NULL,
    put_at timestamptz NOT NULL,
    points_given bigint NOT NULL DEFAULT 0,
    rewards_given bigint NOT NULL DEFAULT 0,
    CONSTRAINT tasks_given_not_negative CHECK (points_given >= 0 AND rewards_given >= 0)
)"""

_TASK_VERSIONS = """
CREATE TABLE task_versions (
    task_id text NOT NULL REFERENCES tasks,
    version bigint NOT NULL,
    document jsonb NOT NULL,
    put_by text NOT NULL,
    put_at timestamptz NOT NULL,
    PRIMARY KEY (task_id, version)
)"""

_TASK_BOOKS = """
CREATE TABLE task_books (
    task_id text NOT NULL REFERENCES tasks,
    member_id text NOT NULL REFERENCES members,
    signed jsonb NOT NULL DEFAULT '[]',
    rewarded jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (task_id, member_id)
)"""

_TASK_DAYS = """
CREATE TABLE task_days (
    task_id text NOT NULL,
    member_id text NOT NULL,
    day date NOT NULL,
    times bigint NOT NULL,
    completions bigint NOT NULL,
    PRIMARY KEY (task_id, member_id, day),
    CONSTRAINT task_days_of_a_book FOREIGN KEY (task_id, member_id) REFERENCES task_books,
    CONSTRAINT task_days_sensible CHECK (times > 0 AND completions >= 0)
)"""

_TASK_PROOFS = """
CREATE TABLE task_proofs (
    task_id text NOT NULL REFERENCES tasks,
    proof_id text NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (task_id, proof_id)
)"""

_TASK_RECORDS = """
CREATE TABLE task_records (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL UNIQUE,
    task_id text NOT NULL,
    task_version bigint NOT NULL,
    member_id text NOT NULL REFERENCES members,
    occurred_at timestamptz NOT NULL,
    day date NOT NULL,
    times bigint NOT NULL,
    completions bigint NOT NULL,
    proof_id text NOT NULL,
    given jsonb NOT NULL,
    withheld jsonb NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT task_records_version_known FOREIGN KEY (task_id, task_version) REFERENCES task_versions
)"""

_ACTIVITIES = """
CREATE TABLE activities (
    activity_id text PRIMARY KEY,
    program_id text NOT NULL REFERENCES programs,
    state text NOT NULL,
    starts_at timestamptz NOT NULL,
    document jsonb NOT NULL,
    revision bigint NOT NULL,
    capacity integer NOT NULL,
    seats_taken integer NOT NULL,
    settled_to timestamptz NOT NULL,
    next_due_at timestamptz,
    check_in_code text NOT NULL,
    put_by text NOT NULL,
    put_at timestamptz NOT NULL,
    CONSTRAINT activities_state_known CHECK (state IN ('draft', 'published', 'cancelled', 'closed')),
    CONSTRAINT activities_never_overbooked CHECK (seats_taken BETWEEN 0 AND capacity)
)"""

_ACTIVITY_VERSIONS = """
CREATE TABLE activity_versions (
    activity_id text NOT NULL REFERENCES activities,
    revision bigint NOT NULL,
    state text NOT NULL,
    document jsonb NOT NULL,
    put_by text NOT NULL,
    put_at timestamptz NOT NULL,
    PRIMARY KEY (activity_id, revision)
)"""

_REGISTRATIONS = """
CREATE TABLE activity_registrations (
    registration_id text PRIMARY KEY,
    sequence bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    activity_id text NOT NULL REFERENCES activities,
    member_id text NOT NULL REFERENCES members,
    tier_id text NOT NULL,
    tier_rank integer NOT NULL,
    party_size integer NOT NULL,
    state text NOT NULL,
    fee_points bigint NOT NULL,
    hold_id text NOT NULL,
    registered_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    leaving_reason text NOT NULL DEFAULT '',
    recorded_at timestamptz NOT NULL,
    CONSTRAINT activity_registrations_state_known
        CHECK (state IN ('seated', 'waiting', 'left', 'attended', 'missed')),
    CONSTRAINT activity_registrations_sensible CHECK (party_size > 0 AND fee_points >= 0)
)"""

_BARS = """
CREATE TABLE activity_bars (
    member_id text PRIMARY KEY REFERENCES members,
    barred_until timestamptz NOT NULL,
    activity_id text NOT NULL REFERENCES activities
)"""

_INDEXES = (
    "CREATE INDEX tasks_by_program ON tasks (program_id, task_id)",
    "CREATE INDEX task_records_by_member ON task_records (member_id, sequence)",
    "CREATE INDEX activities_by_program ON activities (program_id, activity_id)",
    "CREATE INDEX activities_due ON activities (next_due_at) WHERE next_due_at IS NOT NULL",
    """CREATE UNIQUE INDEX activity_registrations_once ON activity_registrations (activity_id, member_id)
        WHERE state <> 'left'""",
    "CREATE INDEX activity_registrations_by_state ON activity_registrations (activity_id, state)",
    "CREATE INDEX activity_registrations_in_order ON activity_registrations (activity_id, sequence)",
    "CREATE INDEX activity_registrations_by_member ON activity_registrations (member_id, sequence)",
)


def upgrade() -> None:
    """Makes everything."""
    for statement in (_TASKS, _TASK_VERSIONS, _TASK_BOOKS, _TASK_DAYS, _TASK_PROOFS, _TASK_RECORDS):
        op.execute(statement)
    for statement in (_ACTIVITIES, _ACTIVITY_VERSIONS, _REGISTRATIONS, _BARS, *_INDEXES):
        op.execute(statement)
    append_only(op, "task_versions", "task_proofs", "task_records", "activity_versions")
