"""Prove what the service claims about its own data."""

from chassis.proof import Check

from member.store import Connection, points, tiers


async def prove(connection: Connection) -> list[Check]:
    """Every rule of the ledger, asked of its tables; and that each member holds the last tier of its history."""
    proof = await points.prove(connection)
    checks = [
        Check(f"points: {check.rule}", not check.offenders, proof.entries, check.offenders) for check in proof.checks
    ]
    unbalanced = tuple(f"{asset}: {total}" for asset, total in proof.totals.items() if total)
    checks.append(Check("points: given, spent and expired sum to zero", not unbalanced, proof.entries, unbalanced))
    members, offenders = await tiers.members_off_their_history(connection)
    checks.append(Check("a member holds the last tier of its history", not offenders, members, offenders))
    return checks
