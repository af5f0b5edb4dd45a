"""How scoring's database is brought to the newest revision."""

from chassis.migrations import run_env
from scoring.store import METADATA

run_env(METADATA)
