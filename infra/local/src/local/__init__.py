"""The whole platform on one machine: PostgreSQL and NATS from wheels, six processes, nothing left behind."""

from local.platform import Platform
from local.processes import GATEWAY, PROCESSES, SERVICES, Addresses
from local.supervisor import PlatformDidNotStart

__all__ = ["GATEWAY", "PROCESSES", "SERVICES", "Addresses", "Platform", "PlatformDidNotStart"]
