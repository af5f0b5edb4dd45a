"""Each person of a customer may be a member too; what is empty is the customer as a whole."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds the person to the key of a membership."""
    op.execute("ALTER TABLE members ADD COLUMN person_id text NOT NULL DEFAULT ''")
    op.execute("ALTER TABLE members DROP CONSTRAINT members_once_per_program")
    op.execute(
        "ALTER TABLE members ADD CONSTRAINT members_once_per_program UNIQUE (customer_id, program_id, person_id)"
    )
