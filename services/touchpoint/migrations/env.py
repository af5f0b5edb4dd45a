"""Runs the migrations of the touchpoint service."""

from chassis.migrations import run_env
from touchpoint.store import METADATA

run_env(METADATA)
