"""What a provider says of a payment, by call-back or when it is asked: taken in once, and what follows from it."""

from dataclasses import replace
from datetime import datetime
from typing import assert_never

from chassis.calendar import Calendar
from chassis.work import Transaction

from billing.domain.callback import Callback, CallbackIdReused
from billing.domain.difference import Difference, DifferenceKind
from billing.domain.payment import (
    Payment,
    PaymentId,
    PaymentState,
    Refund,
    Report,
    Verdict,
    judge,
    payment_not_found,
)
from billing.domain.payment_facts import payment_settled
from billing.domain.wish import payment_in
from billing.store import Connection
from billing.store.bill import find_bills
from billing.store.callback import add_callback, known_body, payments_waited_for, set_applied, waiting_callbacks
from billing.store.payment import find_payment, reference_taken, save_payment
from billing.use_cases.difference import note_differences
from billing.use_cases.movement import apply_whole
from billing.use_cases.payment import end_payment, lock_payment
from billing.use_cases.refund import charge_back, keep_refund, take_refund
from billing.use_cases.top_up_rule import note_ended


async def receive_callback(transaction: Transaction, callback: Callback, calendar: Calendar) -> Verdict | None:
    """Takes in a call-back whose signature is good; None when it was known. Refuses PaymentNotFound, so that the
    provider tries again, and CallbackIdReused."""
    connection, report = transaction.connection, callback.report
    found = await find_payment(connection, report.payment_id)
    if found is None or found.channel != report.channel:
        raise payment_not_found(report.payment_id)
    if not await add_callback(connection, callback, transaction.recorded_at):
        if await known_body(connection, callback) != callback.body_sha256:
            raise CallbackIdReused(f"call-back {callback.webhook_id} came before with another body")
        return None
    verdict = await take_report(transaction, report, calendar)
    if verdict is Verdict.WAIT:
        await set_applied(connection, callback, applied=False)
    return verdict


async def take_report(transaction: Transaction, report: Report, calendar: Calendar) -> Verdict:
    """Does what a report means for its payment, once, whatever came before it. Refuses PaymentNotFound."""
    payment = await lock_payment(transaction, report.payment_id)
    at = _happened(payment, report, transaction.recorded_at)
    verdict = judge(payment, report)
    explained = verdict is not Verdict.DIFFER
    match verdict:
        case Verdict.SUCCEED:
            await _succeed(transaction, payment, report, at=at, calendar=calendar)
        case Verdict.DECLINE:
            declined = replace(payment, decline_code=report.decline_code)
            await end_payment(transaction, declined, PaymentState.DECLINED, at)
        case Verdict.PEND:
            await _pend(transaction, payment, report, at=at, calendar=calendar)
        case Verdict.REFUND:
            explained = await take_refund(transaction, payment, _refund(payment, report), at=at, calendar=calendar)
        case Verdict.KEEP:
            await keep_refund(transaction, payment, _refund(payment, report), at=at, calendar=calendar)
        case Verdict.CHARGE_BACK:
            explained = await charge_back(transaction, payment, report, at=at, calendar=calendar)
        case Verdict.NOTHING | Verdict.WAIT | Verdict.DIFFER:
            pass
        case _:
            assert_never(verdict)
    if not explained:
        await _note_difference(transaction, payment, report, calendar)
    return verdict


async def take_waiting(transaction: Transaction, payment_id: PaymentId, calendar: Calendar) -> bool:
    """Does the first thing that waited for a payment to succeed, in the provider's order; whether another may wait."""
    payment = await lock_payment(transaction, payment_id)
    waiting = await waiting_callbacks(transaction.connection, payment_id)
    if not waiting or payment.state is not PaymentState.SUCCEEDED:
        return False
    await take_report(transaction, waiting[0].report, calendar)
    await set_applied(transaction.connection, waiting[0], applied=True)
    return len(waiting) > 1


async def waited_for(connection: Connection, limit: int) -> list[PaymentId]:
    """Payments that have succeeded since call-backs began to wait for that."""
    return await payments_waited_for(connection, limit)


def _refund(payment: Payment, report: Report) -> Refund:
    refund = payment.refund(report.refund_id) if report.refund_id else None
    assert refund is not None, "judged to be about a refund that is known"
    return refund


def _happened(payment: Payment, report: Report, recorded_at: datetime) -> datetime:
    """When a report says it was, within what can be: a provider's clock that is wrong must not expire gift credit."""
    return max(payment.requested_at, min(report.occurred_at, recorded_at))


async def _pend(
    transaction: Transaction, payment: Payment, report: Report, *, at: datetime, calendar: Calendar
) -> None:
    pending = replace(
        payment,
        state=PaymentState.PENDING,
        redirect_url=report.redirect_url,
        provider_reference=await _reference(transaction, payment, report, calendar),
    )
    await save_payment(transaction.connection, pending, because=report.type, at=at, recorded_at=transaction.recorded_at)


async def _succeed(
    transaction: Transaction, payment: Payment, report: Report, *, at: datetime, calendar: Calendar
) -> None:
    bill_id = payment.bill_id
    bill = (await find_bills(transaction.connection, [bill_id])).get(bill_id) if bill_id else None
    movement = payment_in(payment, bill, occurred_at=at)
    await apply_whole(transaction, [movement], calendar)
    succeeded = replace(
        payment,
        state=PaymentState.SUCCEEDED,
        settled_at=at,
        decline_code="",
        transaction_id=movement.transaction_id,
        bill_missed=bill_id is not None and movement.settles is None,
        provider_reference=await _reference(transaction, payment, report, calendar),
    )
    await save_payment(
        transaction.connection, succeeded, because=report.type, at=at, recorded_at=transaction.recorded_at
    )
    transaction.emit(payment_settled(succeeded, at))
    await note_ended(transaction, succeeded, at)


async def _note_difference(transaction: Transaction, payment: Payment, report: Report, calendar: Calendar) -> None:
    """What nothing here explains: nothing is booked, and it stays to be looked into."""
    kind = DifferenceKind.STATE_DIFFERS if report.amount == payment.amount else DifferenceKind.AMOUNT_DIFFERS
    at = _happened(payment, report, transaction.recorded_at)
    found = Difference(kind, report.about, calendar.day_of(at), here=payment.amount, there=report.amount)
    await note_differences(transaction, [found], at)


async def _reference(transaction: Transaction, payment: Payment, report: Report, calendar: Calendar) -> str | None:
    """The provider's number for the payment; not one that it gave to another before."""
    if report.reference == payment.provider_reference:
        return payment.provider_reference
    if await reference_taken(transaction.connection, payment, report.reference):
        await _note_difference(transaction, payment, report, calendar)
        return payment.provider_reference
    return report.reference
