"""Credit limits: set them, one or many."""

from collections.abc import Sequence
from typing import NamedTuple

from chassis.calendar import Calendar
from chassis.errors import Refusal
from chassis.ids import new_id
from chassis.work import Transaction

from billing.domain.account import Standing
from billing.domain.account_facts import credit_limit_set
from billing.domain.credit_limit import SetCreditLimit
from billing.domain.movement import Moved
from billing.store.balance import standings
from billing.use_cases.movement import apply_movements


class Limited(NamedTuple):
    """An account with its new limit, and the movement that set it."""

    standing: Standing
    moved: Moved


async def set_credit_limits(
    transaction: Transaction, wanted: Sequence[SetCreditLimit], *, calendar: Calendar
) -> list[Limited | Refusal]:
    """Sets limits; each item alone. Refuses AccountNotFound, a wrong currency, CreditLimitInUse. The account is shown
    as all of them leave it."""
    outcomes = await apply_movements(transaction, [each.movement(new_id()) for each in wanted], calendar)
    done = [outcome for outcome in outcomes if isinstance(outcome, Moved)]
    for moved in done:
        transaction.emit(credit_limit_set(moved))
    found = await standings(transaction.connection, {m.account.account_id: m.account for m in done}.values())
    return [
        outcome if isinstance(outcome, Refusal) else Limited(found[outcome.account.account_id], outcome)
        for outcome in outcomes
    ]
