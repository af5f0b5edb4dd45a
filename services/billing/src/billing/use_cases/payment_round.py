"""Which providers are to be called now: for payments and refunds that wait, and for payments whose time is over."""

from datetime import datetime
from typing import NamedTuple

from chassis.work import Transaction

from billing.domain.payment import Payment, PaymentState, Refund
from billing.store.payment import count_no_longer, due_payments, find_payments, note_asked, payments_for_update
from billing.store.refund import due_refunds, note_refunds_asked
from billing.use_cases.movement import lock_accounts
from billing.use_cases.payment import end_payment

ROUND = 20
"""So many calls to providers at once."""


class Waiting(NamedTuple):
    """What a round is to do outside its transaction, and how many payments it ended. `more` says that the round was
    full."""

    payments: tuple[Payment, ...] = ()
    refunds: tuple[tuple[Payment, Refund], ...] = ()
    expired: int = 0
    more: bool = False


async def begin_round(transaction: Transaction, as_of: datetime) -> Waiting:
    """Takes what is due by now, so that nobody else takes it for a while, counts no longer what was left unpaid on a
    provider's page, and ends payments that were not paid in time."""
    connection = transaction.connection
    due = await due_payments(connection, as_of, ROUND)
    due_back = await due_refunds(connection, as_of, ROUND)
    seen = await find_payments(connection, {*due, *due_back.values()})
    await lock_accounts(transaction, {each.account_id for each in seen.values()})
    now = await payments_for_update(connection, seen)
    waiting = [now[each] for each in due if now[each].state.on_its_way]
    over = [each for each in waiting if each.expires_at <= as_of]
    for payment in over:
        await end_payment(transaction, payment, PaymentState.EXPIRED, as_of)
    asked = [each for each in waiting if each.expires_at > as_of]
    await note_asked(connection, asked, as_of)
    refunds = [(now[of], refund) for each, of in due_back.items() if (refund := now[of].refund(each)) is not None]
    await note_refunds_asked(connection, [refund for _, refund in refunds], as_of)
    await count_no_longer(connection, as_of)
    return Waiting(tuple(asked), tuple(refunds), len(over), ROUND in (len(due), len(due_back)))
