"""Prove what the service claims about its own data."""

from chassis.proof import Check

from member.store import Connection, clubs, coupon_lists, entitlements, points, registrations, settlements, shop, tiers


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
    for claim, found in (
        ("a customer's entitlements name the tiers held", await entitlements.rows_off_their_members(connection)),
        ("a club's places taken are its active memberships", await clubs.clubs_off_their_places(connection)),
        ("a closed settlement is the sum of its lines", await settlements.closings_off_their_lines(connection)),
        (
            "an activity's seats taken are its registrations', and not too many",
            await registrations.overbooked(connection),
        ),
        ("what was stocked is in stock or ordered", await shop.items_off_their_stock(connection)),
    ):
        checks.append(Check(claim, not found[1], *found))
    return [*checks, *await coupon_lists.prove(connection)]
