"""The proof: billing's rules asked of the tables themselves, so that nothing rests on the code being right.

Each rule comes with what is examined and with what breaks it. All are read from one snapshot.
"""

from collections.abc import Sequence

from chassis.proof import Check
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.store import (
    account_proof,
    bill_proof,
    charging_proof,
    migration_proof,
    notice_proof,
    order_proof,
    payment_proof,
)
from billing.store.balance import BALANCE_PREFIX, LEDGER

_OFFENDERS_SHOWN = 10


_RULES = (
    *bill_proof.RULES,
    *charging_proof.RULES,
    *order_proof.RULES,
    *notice_proof.RULES,
    *migration_proof.RULES,
    *account_proof.RULES,
    *payment_proof.RULES,
)


async def check_rules(connection: AsyncConnection) -> list[Check]:
    """Billing's own rules."""
    checks = []
    for rule in _RULES:
        examined = (await connection.execute(text(rule.examined))).scalar_one()
        found = await connection.execute(text(rule.offenders), {"prefix": BALANCE_PREFIX})
        offenders = tuple(str(offender) for offender in found.scalars().fetchmany(_OFFENDERS_SHOWN))
        checks.append(Check(rule.claim, not offenders, examined, offenders))
    return checks


async def check_ledger(connection: AsyncConnection) -> Sequence[Check]:
    """The ledger's rules over the balances."""
    proof = await LEDGER.prove(connection)
    unbalanced = tuple(f"{asset}: {total}" for asset, total in proof.totals.items() if total)
    return [
        Check("all entries of a currency sum to zero", not unbalanced, proof.entries, unbalanced),
        *(Check(check.rule, not check.offenders, proof.entries, check.offenders) for check in proof.checks),
    ]
