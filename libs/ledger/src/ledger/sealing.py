"""Sealing as timed work: what a service was asked to book a minute ago is in the chain, and the digest in the log.

Whoever keeps the log elsewhere than the database has with each line a witness: a chain that was rewritten from some
seal on does not lead to the digests that were logged since.
"""

import structlog
from chassis.timed import Timed
from chassis.work import Transaction

from ledger.ledger import Ledger
from ledger.store.sealing import BLOCK

_log = structlog.get_logger(__name__)
_MINUTE = 60.0


def sealing(ledger: Ledger) -> Timed:
    """Block after block of what was written and is not sealed yet, a transaction each."""

    async def seal(transaction: Transaction) -> bool:
        sealed = await ledger.seal(transaction.connection, sealed_at=transaction.recorded_at)
        if sealed is None:
            return False
        digest = sealed.digest.hex()
        _log.info("books sealed", seal=sealed.number, transactions=sealed.transactions, digest=digest)
        return sealed.transactions >= BLOCK

    return Timed("seal the books", _MINUTE, seal)
