"""Runs the revisions of billing's database."""

from billing.store import METADATA
from chassis.migrations import run_env

run_env(METADATA)
