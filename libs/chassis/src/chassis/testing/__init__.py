"""Pytest plugin: real servers, a fresh database per test, and tokens.

`scratch`   a folder of this test process, in memory where there is room
`postgres`  one PostgreSQL per test process, started when first asked for
`nats`      a fresh nats-server per test (it starts in 35 ms, less than clearing streams would take)
`database`  `await database(PROCESS)`: a database of its own for this test, cloned from one that the migrations made
`keys`      a signing key, its JWKS file, `keys.mint(subject, scopes, customer_id=...)`
"""

from chassis.embedded.databases import Database
from chassis.testing.identities import Keys, keys
from chassis.testing.servers import Databases, Templates, database, database_templates, nats, postgres, scratch

__all__ = [
    "Database",
    "Databases",
    "Keys",
    "Templates",
    "database",
    "database_templates",
    "keys",
    "nats",
    "postgres",
    "scratch",
]
