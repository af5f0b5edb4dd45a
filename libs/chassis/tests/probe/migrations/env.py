"""Runs the probe's migrations."""

from probe.store import METADATA

from chassis.migrations import run_env

run_env(METADATA)
