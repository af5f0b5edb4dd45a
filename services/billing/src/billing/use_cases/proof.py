"""The proof that an operator asks for: the ledger's rules and billing's own, from one snapshot."""

from collections.abc import Sequence

from chassis.proof import Check

from billing.store import Connection
from billing.store.proof import check_ledger, check_rules


async def prove(connection: Connection) -> Sequence[Check]:
    """What billing claims of its data, and what contradicts it. Reads everything: a job's work, not a request's."""
    return [*await check_ledger(connection), *await check_rules(connection)]
