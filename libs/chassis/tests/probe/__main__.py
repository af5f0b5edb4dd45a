"""`python -m probe serve|migrate`."""

from probe.service import PROCESS

from chassis.process import run

run(PROCESS)
