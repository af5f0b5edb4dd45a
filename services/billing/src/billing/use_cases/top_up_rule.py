"""What becomes of the rule of an automatic top-up when its payments end, and how it stops."""

from datetime import datetime

from chassis.work import Transaction

from billing.domain.ids import CustomerId
from billing.domain.payment import Payment, PaymentOrigin
from billing.domain.payment_facts import top_up_paused
from billing.domain.top_up import Pause, TopUpRule
from billing.store.top_up import find_rules, put_rules


async def note_ended(transaction: Transaction, payment: Payment, at: datetime) -> None:
    """What the end of a payment means for the rule that asked for it."""
    if payment.origin is not PaymentOrigin.TOP_UP:
        return
    rule = (await find_rules(transaction.connection, [payment.account_id])).get(payment.account_id)
    if rule is None:
        return
    after = rule.after(payment.state, at)
    await put_rules(transaction.connection, [after], transaction.recorded_at)
    if after.paused_because is not None and rule.paused_because is None:
        transaction.emit(top_up_paused(rule.account_id, payment.customer_id, after.paused_because, at))


async def stop_after_chargeback(transaction: Transaction, payment: Payment, at: datetime) -> None:
    """A payer whose bank takes money back is not asked again."""
    rule = (await find_rules(transaction.connection, [payment.account_id])).get(payment.account_id)
    if rule is not None:
        await stop_rule(transaction, rule, Pause.CHARGEBACK, payment.customer_id, at)


async def stop_rule(
    transaction: Transaction, rule: TopUpRule, because: Pause, customer_id: CustomerId, at: datetime
) -> None:
    """Stops a rule and tells it; one that has stopped stays as it is."""
    if rule.paused_because is None:
        await put_rules(transaction.connection, [rule.paused(because)], transaction.recorded_at)
        transaction.emit(top_up_paused(rule.account_id, customer_id, because, at))
