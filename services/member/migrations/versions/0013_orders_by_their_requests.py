"""An order of the shop is known by the request that placed it; who ended in a membership is found from that one."""

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Adds a column that orders placed before leave empty, and an index."""
    op.execute("ALTER TABLE shop_orders ADD COLUMN source text UNIQUE")
    op.execute("CREATE INDEX carried_memberships_into ON carried_memberships (into_member_id)")
