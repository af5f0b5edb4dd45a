"""Refunds of charges: what was taken goes back into balance, and gift credit to where it came from."""

from collections.abc import Sequence
from typing import NamedTuple

from chassis.calendar import Calendar
from chassis.errors import Refusal
from chassis.ids import new_id
from chassis.work import Transaction

from billing.domain.charge import RefundCharge, charge_not_found
from billing.domain.charge_refund import ChargeTaken, Refunding, charge_refunded
from billing.domain.ids import ChargeId
from billing.domain.movement import Moved
from billing.store.charge_refund import add_refunds, charges_taken
from billing.use_cases.movement import apply_movements, lock_accounts


class Refunded(NamedTuple):
    """A refund as it was booked."""

    refund: Refunding
    moved: Moved


async def refund_charges(
    transaction: Transaction, wanted: Sequence[RefundCharge], calendar: Calendar
) -> list[Refunded | Refusal]:
    """Refuses ChargeNotFound, ChargeFullyRefunded, RefundExceedsCharge, a wrong currency; each item alone."""
    charges = await _charges_for_update(transaction, [each.charge_id for each in wanted])
    chosen = [_refunding(each, charges) for each in wanted]
    refunds = [each for each in chosen if isinstance(each, Refunding)]
    booked = iter(await apply_movements(transaction, [each.movement() for each in refunds], calendar))
    outcomes = [_refunded(each, next(booked)) if isinstance(each, Refunding) else each for each in chosen]
    await keep_refunds(transaction, [each for each in outcomes if isinstance(each, Refunded)])
    return outcomes


async def keep_refunds(transaction: Transaction, done: Sequence[Refunded]) -> None:
    """Keeps and tells refunds that are booked."""
    await add_refunds(transaction.connection, [each.refund for each in done], transaction.recorded_at)
    for refund, moved in done:
        transaction.emit(charge_refunded(refund, moved))


async def _charges_for_update(transaction: Transaction, charge_ids: Sequence[ChargeId]) -> dict[ChargeId, ChargeTaken]:
    """The charges that exist, as they stand behind the locks of their accounts and of who pays for these."""
    found = await charges_taken(transaction.connection, charge_ids)
    if not found:
        return {}
    await lock_accounts(transaction, {charge.account_id for charge in found.values()}, with_payers=True)
    return await charges_taken(transaction.connection, list(found))


def _refunding(wanted: RefundCharge, charges: dict[ChargeId, ChargeTaken]) -> Refunding | Refusal:
    """What a wish comes to after those before it in the batch, which it leaves less behind."""
    charge = charges.get(wanted.charge_id)
    if charge is None:
        return charge_not_found(wanted.charge_id)
    try:
        refunding = wanted.refunding(charge, new_id())
    except Refusal as refusal:
        return refusal
    given_back = charge.refunded_minor + refunding.amount.minor_units
    charges[charge.charge_id] = charge._replace(refunded_minor=given_back)
    return refunding


def _refunded(refunding: Refunding, outcome: Moved | Refusal) -> Refunded | Refusal:
    return outcome if isinstance(outcome, Refusal) else Refunded(refunding, outcome)
