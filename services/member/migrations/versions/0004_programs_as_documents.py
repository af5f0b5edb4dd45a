"""Programs as versioned documents, what judged each member, and points and spend in the order of who they are of."""

from alembic import op
from chassis.migrations import append_only

revision = "0004"
down_revision = "0003"

_VERSIONS = """
CREATE TABLE program_versions (
    program_id text NOT NULL REFERENCES programs,
    version bigint NOT NULL,
    document jsonb NOT NULL,
    drafted_by text NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (program_id, version)
)"""

_ACTIVATIONS = """
CREATE TABLE program_activations (
    program_id text NOT NULL,
    sequence bigint NOT NULL,
    version bigint NOT NULL,
    active_from timestamptz NOT NULL,
    activated_by text NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (program_id, sequence),
    FOREIGN KEY (program_id, version) REFERENCES program_versions
)"""

# What stood in columns becomes the first version kept, in force since ever.
_KEEP_DOCUMENTS = """
INSERT INTO program_versions (program_id, version, document, drafted_by, recorded_at)
SELECT program_id, revision, jsonb_build_object(
    'display_name', display_name, 'window_days', window_days, 'points_lifetime_days', points_lifetime_days,
    'time_zone', 'UTC', 'moves', '{}'::jsonb,
    'tiers', (SELECT jsonb_agg(jsonb_build_object(
        'tier_id', tier_id, 'display_name', tiers.display_name, 'points_required', points_required,
        'earn_rate_percent', earn_rate_percent, 'requirement', NULL, 'benefits', '[]'::jsonb) ORDER BY rank)
        FROM tiers WHERE tiers.program_id = programs.program_id)), '', now()
FROM programs"""

_KEEP_ACTIVATIONS = """
INSERT INTO program_activations (program_id, sequence, version, active_from, activated_by, recorded_at)
SELECT program_id, 1, revision, timestamptz '1970-01-01 00:00:00Z', '', now() FROM programs"""

_PROGRAMS = """
ALTER TABLE programs
    ADD COLUMN active_version bigint,
    ADD COLUMN active_sequence bigint NOT NULL DEFAULT 1,
    ADD COLUMN upgrades_at_once boolean NOT NULL DEFAULT false,
    ADD COLUMN warned_as_of timestamptz,
    ADD COLUMN warned_to_member text"""

_ACTIVE = "UPDATE programs SET active_version = revision"

_DROP_COLUMNS = (
    (
        "ALTER TABLE programs DROP COLUMN display_name, DROP COLUMN window_days, DROP COLUMN points_lifetime_days, "
        "DROP COLUMN revision, ALTER COLUMN active_sequence SET DEFAULT 0"
    ),
    (
        "ALTER TABLE tiers DROP COLUMN display_name, DROP COLUMN rank, DROP COLUMN points_required, "
        "DROP COLUMN earn_rate_percent"
    ),
)

_MEMBERS = (
    (
        "ALTER TABLE members ADD COLUMN holds_until timestamptz, ADD COLUMN in_grace boolean NOT NULL DEFAULT false, "
        "ADD COLUMN left_at timestamptz"
    ),
    "ALTER TABLE members DROP CONSTRAINT members_once_per_program",
    (
        "CREATE UNIQUE INDEX members_once_per_program ON members (customer_id, program_id, person_id) "
        "WHERE left_at IS NULL"
    ),
    "DROP INDEX members_by_tier",
    "CREATE INDEX members_by_tier ON members (program_id, tier_id, member_id) WHERE left_at IS NULL",
    "CREATE INDEX members_by_hold ON members (program_id, member_id) WHERE holds_until IS NOT NULL",
    (
        "ALTER TABLE tier_history ADD COLUMN version bigint NOT NULL DEFAULT 0, "
        "ADD COLUMN reason text NOT NULL DEFAULT 'evaluation', ADD COLUMN note text NOT NULL DEFAULT ''"
    ),
)

_POINTS = """
CREATE TABLE tier_points (
    member_id text NOT NULL,
    earned_at timestamptz NOT NULL,
    kind text NOT NULL,
    points bigint NOT NULL,
    known_from timestamptz NOT NULL
) WITH (autovacuum_vacuum_insert_scale_factor = 0.02)"""

# All that judging reads stands in the index, one member's beside each other.
_POINTS_INDEX = """
CREATE INDEX tier_points_by_member ON tier_points (member_id, earned_at) INCLUDE (kind, points, known_from)"""

# The rows follow from the ledger's and are written in the same statement, whoever posts. Taking back an earning counts
# where the earning counts, with what was asked to be taken back, even where less of it was left.
_POINTS_FUNCTION = """
CREATE FUNCTION note_tier_points() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tier_points (member_id, earned_at, kind, points, known_from)
    SELECT substr(entry.account_id, 8), given.occurred_at, given.kind, entry.amount, given.occurred_at
    FROM added AS given
    JOIN ledger_entries AS entry ON entry.source = given.source AND entry.account_version IS NOT NULL
    WHERE starts_with(given.kind, 'earn_') AND given.reverses IS NULL AND entry.amount > 0;
    IF EXISTS (SELECT FROM added WHERE reverses IS NOT NULL) THEN
        INSERT INTO tier_points (member_id, earned_at, kind, points, known_from)
        SELECT substr(share.account_id, 8), given.occurred_at, given.kind,
            -(share.amount::numeric * undone.reversed_amount
                / sum(share.amount) OVER (PARTITION BY undone.source))::bigint, undone.occurred_at
        FROM added AS undone
        JOIN ledger_transactions AS given ON given.source = undone.reverses
        JOIN ledger_entries AS share ON share.source = given.source AND share.account_version IS NOT NULL
        WHERE starts_with(given.kind, 'earn_') AND share.amount > 0;
    END IF;
    RETURN NULL;
END
$$"""

_POINTS_TRIGGER = """
CREATE TRIGGER note_tier_points AFTER INSERT ON ledger_transactions
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION note_tier_points()"""

_POINTS_SO_FAR = """
INSERT INTO tier_points (member_id, earned_at, kind, points, known_from)
SELECT substr(entry.account_id, 8), given.occurred_at, given.kind, entry.amount, given.occurred_at
FROM ledger_transactions AS given
JOIN ledger_entries AS entry ON entry.source = given.source AND entry.account_version IS NOT NULL
WHERE starts_with(given.kind, 'earn_') AND given.reverses IS NULL AND entry.amount > 0"""

_REVERSALS_SO_FAR = """
INSERT INTO tier_points (member_id, earned_at, kind, points, known_from)
SELECT substr(share.account_id, 8), given.occurred_at, given.kind,
    -(share.amount::numeric * undone.reversed_amount
        / sum(share.amount) OVER (PARTITION BY undone.source))::bigint, undone.occurred_at
FROM ledger_transactions AS undone
JOIN ledger_transactions AS given ON given.source = undone.reverses
JOIN ledger_entries AS share ON share.source = given.source AND share.account_version IS NOT NULL
WHERE starts_with(given.kind, 'earn_') AND share.amount > 0"""

_SPEND = """
CREATE TABLE tier_spend (
    source text PRIMARY KEY,
    customer_id text NOT NULL,
    kind text NOT NULL,
    amount_minor bigint NOT NULL,
    spent_at timestamptz NOT NULL,
    CONSTRAINT tier_spend_kind_known CHECK (kind IN ('recharge', 'order')),
    CONSTRAINT tier_spend_positive CHECK (amount_minor > 0)
)"""

_SPEND_INDEX = "CREATE INDEX tier_spend_by_customer ON tier_spend (customer_id, spent_at) INCLUDE (kind, amount_minor)"

_WARNINGS = """
CREATE TABLE downgrade_warnings (
    member_id text NOT NULL REFERENCES members,
    ends_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (member_id, ends_at)
)"""


def upgrade() -> None:
    """Makes everything."""
    for statement in (_VERSIONS, _ACTIVATIONS, _KEEP_DOCUMENTS, _KEEP_ACTIVATIONS, _PROGRAMS, _ACTIVE, *_DROP_COLUMNS):
        op.execute(statement.replace(":", r"\:"))
    for statement in _MEMBERS:
        op.execute(statement)
    for statement in (_POINTS, _POINTS_INDEX, _POINTS_SO_FAR, _REVERSALS_SO_FAR, _POINTS_FUNCTION, _POINTS_TRIGGER):
        op.execute(statement.replace(":", r"\:"))
    for statement in (_SPEND, _SPEND_INDEX, _WARNINGS):
        op.execute(statement)
    append_only(op, "program_versions", "program_activations", "tier_points", "tier_spend", "downgrade_warnings")
