"""Runs the revisions of the member service's database."""

from chassis.migrations import run_env
from member.store import METADATA

run_env(METADATA)
