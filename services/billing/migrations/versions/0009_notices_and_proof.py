"""Day-end snapshots, exports, providers' files and the differences found."""

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Nothing yet."""
