"""Facts of balances that were migrated."""

from dataclasses import dataclass

from chassis.money import Money

from billing.domain.balance_migration import BalanceId, Item, MigrationRun, MigrationRunId
from billing.domain.facts import OfAccount
from billing.domain.ids import TransactionId
from billing.domain.movement import Moved, MovementKind


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceMigrated(OfAccount):
    """An earmarked balance came in; a negative amount was taken back by an undo."""

    run_id: MigrationRunId
    balance_id: BalanceId
    earmark: str
    amount: Money
    gift: Money
    balance_after: Money
    transaction_id: TransactionId
    account_version: int


def balance_migrated(run: MigrationRun, item: Item, moved: Moved) -> BalanceMigrated:
    """The fact of a balance that was booked, or taken back."""
    sign = -1 if moved.movement.kind is MovementKind.MIGRATION_UNDO else 1
    return BalanceMigrated(
        account_id=moved.account.account_id,
        customer_id=moved.account.customer_id,
        occurred_at=moved.movement.occurred_at,
        run_id=run.run_id,
        balance_id=item.balance.balance_id,
        earmark=item.balance.earmark,
        amount=moved.account.money(sign * moved.amount.minor_units),
        gift=moved.account.money(sign * moved.gift.minor_units),
        balance_after=moved.balance_after,
        transaction_id=moved.movement.transaction_id,
        account_version=moved.account_version,
    )
