"""Benefits with quotas, their use, and the one row that answers what a customer is entitled to."""

from alembic import op

revision = "0005"
down_revision = "0004"

_ENTITLEMENTS = """
CREATE TABLE entitlements (
    customer_id text PRIMARY KEY REFERENCES customers,
    state text NOT NULL,
    revision bigint NOT NULL,
    recorded_at timestamptz NOT NULL
)"""

_BENEFIT_USES = """
CREATE TABLE benefit_uses (
    use_id text PRIMARY KEY,
    customer_id text NOT NULL REFERENCES customers,
    person_id text NOT NULL,
    source_id text NOT NULL,
    benefit_id text NOT NULL,
    state text NOT NULL,
    period_start timestamptz NOT NULL,
    period_end timestamptz NOT NULL,
    occurred_at timestamptz NOT NULL,
    expires_at timestamptz,
    ended_at timestamptz,
    note text NOT NULL,
    sequence bigint GENERATED ALWAYS AS IDENTITY,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT benefit_uses_state_known CHECK (state IN ('reserved', 'used', 'released', 'expired')),
    CONSTRAINT benefit_uses_in_period CHECK (occurred_at >= period_start AND occurred_at < period_end),
    CONSTRAINT benefit_uses_reserved_until CHECK (state = 'used' OR expires_at IS NOT NULL)
)"""

_BENEFIT_GRANTS = """
CREATE TABLE benefit_grants (
    grant_id text PRIMARY KEY,
    customer_id text NOT NULL REFERENCES customers,
    person_id text NOT NULL,
    benefit jsonb NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    reason text NOT NULL,
    granted_by text NOT NULL,
    recorded_at timestamptz NOT NULL,
    revoked_at timestamptz,
    revoke_reason text NOT NULL DEFAULT '',
    revoked_by text NOT NULL DEFAULT '',
    CONSTRAINT benefit_grants_for_a_time CHECK (starts_at < ends_at)
)"""

_ENTITLEMENT_ROUNDS = """
CREATE TABLE entitlement_rounds (
    program_id text PRIMARY KEY REFERENCES programs,
    wanted bigint NOT NULL,
    done bigint NOT NULL,
    after_member text NOT NULL
)"""

_INDEXES = (
    "CREATE INDEX benefit_uses_live ON benefit_uses (customer_id, period_end) WHERE state IN ('reserved', 'used')",
    "CREATE INDEX benefit_uses_latest ON benefit_uses (customer_id, occurred_at) WHERE state IN ('reserved', 'used')",
    "CREATE INDEX benefit_uses_reserved ON benefit_uses (expires_at, use_id) WHERE state = 'reserved'",
    "CREATE INDEX benefit_uses_of_customer ON benefit_uses (customer_id, sequence)",
    "CREATE INDEX benefit_grants_of_customer ON benefit_grants (customer_id, grant_id)",
)


def upgrade() -> None:
    """Makes everything."""
    for statement in (_ENTITLEMENTS, _BENEFIT_USES, _BENEFIT_GRANTS, _ENTITLEMENT_ROUNDS, *_INDEXES):
        op.execute(statement)
