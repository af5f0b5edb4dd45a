"""Runs the probe's migrations."""

from chassis.migrations import run_env
from probe.store import METADATA

run_env(METADATA)
