"""Money that goes back to the payer: by refund, set aside at the request, and by charge-back, which nobody asks for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from chassis.calendar import Calendar
from chassis.errors import Refusal
from chassis.ids import new_id
from chassis.money import Money
from chassis.work import Transaction

from billing.domain.ids import TransactionId
from billing.domain.movement import (
    Capture,
    Free,
    Moved,
    Movement,
    MovementKind,
    SetAside,
    Shortfall,
    Undo,
    check_occurred_at,
)
from billing.domain.payment import (
    FIRST_ASKED_AFTER,
    Payment,
    PaymentId,
    Refund,
    RefundExceedsCash,
    RefundId,
    RefundState,
    Report,
)
from billing.domain.payment_facts import payment_charged_back, payment_taken_back
from billing.store.refund import BookedChargeback, add_chargeback, add_refund, end_refund, spendable
from billing.use_cases.movement import apply_movements, apply_whole
from billing.use_cases.payment import lock_payment
from billing.use_cases.top_up_rule import stop_after_chargeback

_SET_ASIDE_FOR = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundPayment:
    """Wish to give a payment, or a part of it, back to the payer."""

    payment_id: PaymentId
    amount: Money | None
    reason: str
    occurred_at: datetime

    def __post_init__(self) -> None:
        check_occurred_at(self.occurred_at)
        if self.amount is not None:
            self.amount.positive("amount")


async def refund_payment(transaction: Transaction, wanted: RefundPayment, calendar: Calendar) -> Payment:
    """Sets aside what is to go back to the payer, of the cash alone. Refuses PaymentNotFound, PaymentNotSucceeded,
    RefundExceedsPayment, RefundExceedsCash."""
    payment = await lock_payment(transaction, wanted.payment_id)
    amount = payment.amount_to_refund(wanted.amount)
    refund_id = RefundId(new_id())
    aside = await _cash_aside(transaction, payment, amount, refund_id=refund_id, at=wanted.occurred_at)
    await apply_whole(transaction, aside, calendar)
    refund = Refund(
        refund_id=refund_id,
        payment_id=payment.payment_id,
        amount=amount,
        state=RefundState.PENDING,
        reason=wanted.reason,
        hold_id=TransactionId(f"{MovementKind.PAYMENT_REFUND_HOLD}:{refund_id}"),
        requested_at=wanted.occurred_at,
    )
    recorded_at = transaction.recorded_at
    await add_refund(
        transaction.connection, refund, next_ask_at=recorded_at + FIRST_ASKED_AFTER, recorded_at=recorded_at
    )
    return replace(payment, refunds=(*payment.refunds, refund))


async def take_refund(
    transaction: Transaction, payment: Payment, refund: Refund, *, at: datetime, calendar: Calendar
) -> bool:
    """Takes what was given back out of the balance: what was set aside for it, or, where that has lapsed or was freed,
    as a charge-back would. False where the recharge was taken back otherwise before, so that nobody owes it twice."""
    about = {"payment_id": payment.payment_id, "refund_id": refund.refund_id}
    capture = Movement(
        identity=refund.refund_id,
        account_id=payment.account_id,
        kind=MovementKind.PAYMENT_REFUND,
        act=Capture(refund.hold_id, refund.amount),
        note=refund.reason,
        occurred_at=at,
        about=about,
    )
    taken = (await apply_movements(transaction, [capture], calendar))[0]
    if isinstance(taken, Refusal):
        assert payment.transaction_id is not None, "only what succeeded is given back"
        undo = Undo(payment.transaction_id, refund.amount, Shortfall.OWE)
        taken = (await apply_movements(transaction, [capture._replace(act=undo)], calendar))[0]
    if isinstance(taken, Refusal):
        return False
    done = replace(refund, state=RefundState.SUCCEEDED, settled_at=at)
    await end_refund(transaction.connection, done, taken.transaction_id)
    transaction.emit(payment_taken_back(payment, taken, refund.amount, cause="refund"))
    return True


async def keep_refund(
    transaction: Transaction, payment: Payment, refund: Refund, *, at: datetime, calendar: Calendar
) -> None:
    """Frees what was set aside for a refund that the provider declined."""
    free = Movement(
        identity=refund.refund_id,
        account_id=payment.account_id,
        kind=MovementKind.PAYMENT_REFUND_RELEASE,
        act=Free(refund.hold_id),
        note=refund.reason,
        occurred_at=at,
        about={"payment_id": payment.payment_id, "refund_id": refund.refund_id},
    )
    # Refused where it has lapsed by itself: then there is nothing left to free.
    await apply_movements(transaction, [free], calendar)
    await end_refund(transaction.connection, replace(refund, state=RefundState.DECLINED, settled_at=at), None)


async def charge_back(
    transaction: Transaction, payment: Payment, report: Report, *, at: datetime, calendar: Calendar
) -> bool:
    """Takes back what the payer's bank took; what was spent already is owed. The account's top-up stops. False where
    the recharge was taken back otherwise before: nobody owes the same money twice."""
    assert payment.transaction_id is not None, "only what succeeded is charged back"
    undo = Movement(
        identity=f"{payment.payment_id}:{report.sequence}",
        account_id=payment.account_id,
        kind=MovementKind.CHARGEBACK,
        act=Undo(payment.transaction_id, report.amount, Shortfall.OWE),
        note=payment.channel,
        occurred_at=at,
        about={"payment_id": payment.payment_id},
    )
    moved = (await apply_movements(transaction, [undo], calendar))[0]
    if isinstance(moved, Refusal):
        return False
    owed = report.amount.minor_units - _covered(moved, report.amount.minor_units)
    booked = BookedChargeback(
        payment_id=payment.payment_id,
        sequence=report.sequence,
        amount_minor=report.amount.minor_units,
        owed_minor=owed,
        transaction_id=undo.transaction_id,
        occurred_at=at,
    )
    await add_chargeback(transaction.connection, booked, transaction.recorded_at)
    transaction.emit(payment_taken_back(payment, moved, report.amount, cause="chargeback"))
    transaction.emit(payment_charged_back(payment, report.amount, owed_minor=owed, occurred_at=at))
    await stop_after_chargeback(transaction, payment, at)
    return True


def _covered(moved: Moved, amount_minor: int) -> int:
    """How much of what was taken back the balance and its credit limit still had."""
    spendable = moved.balance_after.minor_units + amount_minor + moved.account.credit_limit_minor
    return max(min(spendable, amount_minor), 0)


async def _cash_aside(
    transaction: Transaction, payment: Payment, amount: Money, *, refund_id: RefundId, at: datetime
) -> Sequence[Movement]:
    """Sets cash aside, and leaves gift credit where it is: what is spent is gift credit first, so that is set aside
    before, and freed after. Refuses RefundExceedsCash."""
    held = await spendable(transaction.connection, payment.account_id, at)
    if amount.minor_units > held.cash_minor:
        raise RefundExceedsCash(
            f"account {payment.account_id} has {held.cash_minor} of cash in minor units",
            cash_minor=str(held.cash_minor),
        )

    def act(kind: MovementKind, name: str, what: SetAside | Free) -> Movement:
        about = {"payment_id": payment.payment_id, "refund_id": refund_id}
        return Movement(name, payment.account_id, kind, what, payment.channel, at, about=about)

    until = at + _SET_ASIDE_FOR
    cash = act(MovementKind.PAYMENT_REFUND_HOLD, refund_id, SetAside(amount, until))
    if not held.gift_minor:
        return [cash]
    gift_credit = SetAside(Money(held.gift_minor, amount.currency), until)
    gift = act(MovementKind.PAYMENT_REFUND_HOLD, f"{refund_id}:gift", gift_credit)
    back = act(MovementKind.PAYMENT_REFUND_RELEASE, f"{refund_id}:gift", Free(gift.transaction_id))
    return [gift, cash, back]
