"""`python -m probe serve|migrate`."""

from chassis.process import run

from probe.service import PROCESS

run(PROCESS)
