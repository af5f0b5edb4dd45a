"""Which providers are to be called now: for payments and refunds that wait, and for payments whose time is over."""

from collections import Counter
from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from chassis.work import Transaction

from billing.domain.payment import Payment, PaymentState, Refund
from billing.store.payment import count_no_longer, due_payments, find_payments, note_asked, payments_for_update
from billing.store.refund import due_refunds, note_refunds_asked
from billing.use_cases.movement import lock_accounts
from billing.use_cases.payment import end_payment

ROUND = 20
"""So many calls to one provider at once, of payments and of refunds each."""


class Waiting(NamedTuple):
    """What a round is to do outside its transaction, and how many payments it ended. `more` says that the round was
    full for some channel."""

    payments: tuple[Payment, ...] = ()
    refunds: tuple[tuple[Payment, Refund], ...] = ()
    expired: int = 0
    more: bool = False

    def by_channel(self) -> dict[str, "Waiting"]:
        """What is to be done for each channel, where there is something."""
        channels = {each.channel for each in (*self.payments, *(payment for payment, _ in self.refunds))}
        return {
            channel: Waiting(
                tuple(each for each in self.payments if each.channel == channel),
                tuple(each for each in self.refunds if each[0].channel == channel),
            )
            for channel in sorted(channels)
        }


async def begin_round(transaction: Transaction, as_of: datetime, but_for: Collection[str] = ()) -> Waiting:
    """Takes what is due by now of every channel but for some, so that nobody else takes it for a while, counts no
    longer what was left unpaid on a provider's page, and ends payments that were not paid in time."""
    connection = transaction.connection
    due = await due_payments(connection, as_of, ROUND, but_for=but_for)
    due_back = await due_refunds(connection, as_of, ROUND, but_for=but_for)
    seen = await find_payments(connection, {*due, *(each.payment_id for each in due_back.values())})
    await lock_accounts(transaction, {each.account_id for each in seen.values()})
    now = await payments_for_update(connection, seen)
    waiting = [now[each] for each in due if now[each].state.on_its_way]
    over = [each for each in waiting if each.expires_at <= as_of]
    for payment in over:
        await end_payment(transaction, payment, PaymentState.EXPIRED, as_of)
    asked = [each for each in waiting if each.expires_at > as_of]
    await note_asked(connection, asked, as_of)
    pairs = [(now[each.payment_id], refund_id) for refund_id, each in due_back.items()]
    refunds = [(payment, refund) for payment, each in pairs if (refund := payment.refund(each)) is not None]
    await note_refunds_asked(connection, [refund for _, refund in refunds], as_of)
    await count_no_longer(connection, as_of)
    full = ROUND in (Counter(due.values()) | Counter(each.channel for each in due_back.values())).values()
    return Waiting(tuple(asked), tuple(refunds), len(over), full)
