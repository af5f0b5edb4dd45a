"""What is given back of a payment lowers the spend that tiers are judged by."""

from alembic import op

revision = "0014"
down_revision = "0013"

# Who still writes as before knows nothing of the new columns, and need not.
_COLUMNS = """
ALTER TABLE tier_spend
    ADD COLUMN refund_of text,
    ADD COLUMN refunded_at timestamptz,
    DROP CONSTRAINT tier_spend_positive,
    ADD CONSTRAINT tier_spend_signed CHECK (
        CASE WHEN refund_of IS NULL THEN amount_minor > 0 ELSE amount_minor < 0 AND refunded_at IS NOT NULL END)"""

_INDEX = """
CREATE INDEX tier_spend_by_customer ON tier_spend (customer_id, spent_at) INCLUDE (kind, amount_minor, refunded_at)"""

# A payment is copied for whom its customer was merged into, under a name that says so, and so on along a chain.
_REFUNDS_SO_FAR = """
INSERT INTO tier_spend (source, customer_id, kind, amount_minor, spent_at, refund_of, refunded_at)
WITH RECURSIVE paid AS (
    SELECT spent.source AS payment, spent.* FROM tier_spend AS spent
    WHERE spent.source IN (SELECT source FROM payment_refunds)
    UNION ALL
    SELECT paid.payment, copied.* FROM paid
    JOIN customer_merges AS merged ON merged.merged_customer_id = paid.customer_id
    JOIN tier_spend AS copied ON copied.source = paid.source || '@' || merged.customer_id
), given_back AS (
    SELECT paid.*, refund.refund_id, refund.refunded_at AS given_back_at,
        least(refund.refunded_minor, paid.amount_minor - coalesce(sum(refund.refunded_minor) OVER (
            PARTITION BY paid.source ORDER BY refund.recorded_at, refund.refund_id
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)) AS less_minor
    FROM paid JOIN payment_refunds AS refund ON refund.source = paid.payment
)
SELECT source || '#' || refund_id, customer_id, kind, -less_minor, spent_at, source, given_back_at
FROM given_back WHERE less_minor > 0"""


def upgrade() -> None:
    """Adds what a refund needs, and the refunds known so far."""
    op.execute(_COLUMNS)
    op.execute(_REFUNDS_SO_FAR)
    op.execute("DROP INDEX tier_spend_by_customer")
    op.execute(_INDEX)
