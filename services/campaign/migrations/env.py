"""Runs the revisions below on campaign's database."""

from campaign.store import METADATA
from chassis.migrations import run_env

run_env(METADATA)
