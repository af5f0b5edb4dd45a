"""Real servers out of Python wheels, run as direct children of this process: PostgreSQL and NATS.

They serve tests, benchmarks and the platform on one machine. No image holds them: the wheels are the extra `embedded`.
"""

from chassis.embedded.child import Child, Launch, ServerDidNotStart
from chassis.embedded.nats import NatsServer
from chassis.embedded.ports import free_port
from chassis.embedded.postgres import PostgresServer, remove_data

__all__ = ["Child", "Launch", "NatsServer", "PostgresServer", "ServerDidNotStart", "free_port", "remove_data"]
