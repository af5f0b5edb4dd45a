"""Payments: asked for, listed, given up. The provider is called between two transactions, never inside one."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from chassis.ids import new_id
from chassis.money import Money
from chassis.work import Transaction

from billing.domain.account import Account, account_not_found
from billing.domain.bill import bill_not_found
from billing.domain.ids import AccountId, BillId, CustomerId
from billing.domain.movement import check_occurred_at
from billing.domain.payment import (
    COUNTED_FOR,
    FIRST_ASKED_AFTER,
    PAYABLE_FOR,
    Payment,
    PaymentAmountDiffers,
    PaymentEnded,
    PaymentId,
    PaymentOrigin,
    PaymentState,
    PaymentTokenNeeded,
    TokenId,
    check_return_url,
    payment_not_found,
)
from billing.domain.payment_facts import payment_settled
from billing.domain.top_up import token_not_found
from billing.store import Connection
from billing.store.bill import find_bills
from billing.store.payment import (
    PaymentFilter,
    add_payments,
    find_payment,
    list_payments,
    payments_for_update,
    save_payment,
)
from billing.store.top_up import find_tokens
from billing.use_cases.movement import lock_accounts
from billing.use_cases.top_up_rule import note_ended


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatePayment:
    """Wish to pay into an account, or a bill of it whole; `redirects` says whether the channel has a page for it, and
    `counted_for` how long a payment there counts as on its way."""

    account_id: AccountId
    customer_id: CustomerId | None
    amount: Money | None
    channel: str
    redirects: bool
    bill_id: BillId | None
    token_id: TokenId | None
    return_url: str
    origin: PaymentOrigin
    occurred_at: datetime
    counted_for: timedelta = COUNTED_FOR

    @property
    def counted_until(self) -> datetime | None:
        """Until when the payment counts as on its way; None, by a stored means of payment, until it is final."""
        return self.occurred_at + self.counted_for if self.token_id is None else None

    def __post_init__(self) -> None:
        check_occurred_at(self.occurred_at)
        check_return_url(self.return_url)
        if self.amount is not None or self.bill_id is None:
            (self.amount or Money(0, "")).positive("amount")
        if self.token_id is None and not self.redirects:
            raise PaymentTokenNeeded(f"channel {self.channel} needs a stored means of payment", channel=self.channel)


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelPayment:
    """Wish to give a payment up."""

    payment_id: PaymentId
    customer_id: CustomerId | None
    occurred_at: datetime

    def __post_init__(self) -> None:
        check_occurred_at(self.occurred_at)


async def create_payment(transaction: Transaction, wanted: CreatePayment) -> Payment:
    """Stores that a payment is asked for. Refuses AccountNotFound, BillNotFound and what keeps a bill from being paid,
    PaymentAmountDiffers, PaymentTokenNotFound."""
    account = (await lock_accounts(transaction, {wanted.account_id})).get(wanted.account_id)
    if account is None:
        raise account_not_found(wanted.account_id)
    account.check_owner(wanted.customer_id)
    amount = await _amount(transaction.connection, wanted, account)
    if wanted.token_id is not None:
        await _check_token(transaction.connection, wanted, wanted.token_id)
    payment = new_payment(
        account, amount, channel=wanted.channel, origin=wanted.origin, requested_at=wanted.occurred_at
    )
    payment = replace(
        payment,
        bill_id=wanted.bill_id,
        token_id=wanted.token_id,
        return_url=wanted.return_url,
        counted_until=wanted.counted_until,
    )
    recorded_at = transaction.recorded_at
    await add_payments(
        transaction.connection, [payment], next_ask_at=recorded_at + FIRST_ASKED_AFTER, recorded_at=recorded_at
    )
    return payment


async def cancel_payment(transaction: Transaction, wanted: CancelPayment) -> Payment:
    """Gives a payment up; one that was given up stays so. Refuses PaymentNotFound, PaymentEnded. If it is paid all the
    same it succeeds."""
    payment = await lock_payment(transaction, wanted.payment_id)
    payment.check_owner(wanted.customer_id)
    if payment.state is PaymentState.CANCELLED:
        return payment
    if not payment.state.on_its_way:
        raise PaymentEnded(f"payment {payment.payment_id} is {payment.state}", payment_id=payment.payment_id)
    return await end_payment(transaction, payment, PaymentState.CANCELLED, wanted.occurred_at)


async def get_payment(connection: Connection, payment_id: PaymentId, customer_id: CustomerId | None) -> Payment:
    """Refuses PaymentNotFound, also for a payment of another than the named customer."""
    payment = await find_payment(connection, payment_id)
    if payment is None:
        raise payment_not_found(payment_id)
    payment.check_owner(customer_id)
    return payment


async def payments_page(
    connection: Connection, wanted: PaymentFilter, *, before: PaymentId | None, limit: int
) -> list[Payment]:
    """Payments made before one, newest first."""
    return await list_payments(connection, wanted, before=before, limit=limit)


async def lock_payment(transaction: Transaction, payment_id: PaymentId) -> Payment:
    """The payment as it stands once its account is locked. Refuses PaymentNotFound."""
    seen = await find_payment(transaction.connection, payment_id)
    if seen is None:
        raise payment_not_found(payment_id)
    await lock_accounts(transaction, {seen.account_id})
    return (await payments_for_update(transaction.connection, [payment_id]))[payment_id]


async def end_payment(transaction: Transaction, payment: Payment, state: PaymentState, at: datetime) -> Payment:
    """Ends a locked payment that was not paid, and tells it; a top-up that asked for it waits, or stops."""
    ended = replace(payment, state=state, settled_at=at)
    await save_payment(transaction.connection, ended, because=state, at=at, recorded_at=transaction.recorded_at)
    transaction.emit(payment_settled(ended, at))
    await note_ended(transaction, ended, at)
    return ended


def new_payment(
    account: Account, amount: Money, *, channel: str, origin: PaymentOrigin, requested_at: datetime
) -> Payment:
    """A payment as it begins."""
    return Payment(
        payment_id=PaymentId(new_id()),
        account_id=account.account_id,
        customer_id=account.customer_id,
        amount=amount,
        channel=channel,
        bill_id=None,
        token_id=None,
        return_url="",
        origin=origin,
        state=PaymentState.REQUESTED,
        provider_reference=None,
        redirect_url="",
        decline_code="",
        transaction_id=None,
        bill_missed=False,
        requested_at=requested_at,
        settled_at=None,
        expires_at=requested_at + PAYABLE_FOR,
    )


async def _amount(connection: Connection, wanted: CreatePayment, account: Account) -> Money:
    """What is to be paid: as asked, or what the bill still asks for."""
    if wanted.amount is not None:
        account.check_amount(wanted.amount)
    if wanted.bill_id is None:
        assert wanted.amount is not None, "checked when the wish was made"
        return wanted.amount
    bill = (await find_bills(connection, [wanted.bill_id])).get(wanted.bill_id)
    if bill is None or bill.account_id != account.account_id:
        raise bill_not_found(wanted.bill_id)
    bill.check_payable_by(wanted.customer_id)
    remaining = bill.remaining
    if wanted.amount is not None and wanted.amount != remaining:
        raise PaymentAmountDiffers(
            f"bill {bill.bill_id} asks for {remaining.minor_units} in minor units",
            remaining_minor=str(remaining.minor_units),
        )
    return remaining


async def _check_token(connection: Connection, wanted: CreatePayment, token_id: TokenId) -> None:
    token = (await find_tokens(connection, [(wanted.account_id, token_id)])).get((wanted.account_id, token_id))
    if token is None or token.channel != wanted.channel or not token.good_at(wanted.occurred_at):
        raise token_not_found(token_id)


async def provider_token(connection: Connection, payment: Payment) -> str | None:
    """The provider's alias of the means of payment; empty where the customer goes to the provider's page. None where
    the customer removed it meanwhile, or keeps another provider's under its name: no provider hears another's alias."""
    if payment.token_id is None:
        return ""
    key = (payment.account_id, payment.token_id)
    token = (await find_tokens(connection, [key]))[key]
    return token.provider_token if token.removed_at is None and token.channel == payment.channel else None
