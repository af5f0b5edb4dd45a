"""Plans and runs that make earmarked balances one, and copies of what members are entitled to."""

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Nothing yet."""
