"""Taking migrated balances back: gift credit what is left of that very gift, cash whatever the account has."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile

from chassis.money import Money

from billing.domain.balance_migration import Item, MigrationRun, migration_identity
from billing.domain.ids import AccountId
from billing.domain.movement import Movement, MovementKind, Shortfall, Undo


def undone_together(items: Sequence[Item]) -> list[Item]:
    """The leading ones of a kind: what gift credit gives back is gone before it is seen what is there for cash."""
    return list(takewhile(lambda item: item.is_gift == items[0].is_gift, items))


def takings(
    run: MigrationRun, items: Iterable[Item], there_minor: Mapping[AccountId, int]
) -> list[tuple[Item, Movement]]:
    """What takes balances of a kind back, where anything is there; `there_minor` is what accounts have, without any
    credit limit."""
    left = dict(there_minor)
    found = []
    for item in items:
        amount_minor = item.decision.new_minor
        if not item.is_gift:
            amount_minor = min(amount_minor, left[item.balance.account_id])
            left[item.balance.account_id] -= amount_minor
        if amount_minor:
            found.append((item, _taking_back(run, item, amount_minor)))
    return found


def _taking_back(run: MigrationRun, item: Item, amount_minor: int) -> Movement:
    assert run.undone_at is not None
    assert item.transaction_id is not None
    shortfall = Shortfall.ONLY_WHAT_IS_LEFT if item.is_gift else Shortfall.DOWN_TO_FLOOR
    return Movement(
        identity=migration_identity(run.run_id, item.balance.balance_id),
        account_id=item.balance.account_id,
        kind=MovementKind.MIGRATION_UNDO,
        act=Undo(item.transaction_id, Money(amount_minor, run.plan.currency), shortfall),
        note=run.undone_because,
        occurred_at=run.undone_at,
        about={"run_id": run.run_id, "balance_id": item.balance.balance_id},
    )
