"""Payments through channels: money on its way from a payer to an account, and what became of it.

REQUESTED -> PENDING -> SUCCEEDED | DECLINED | CANCELLED | EXPIRED. What the provider did with the payer's money
decides: a payment that was paid succeeds, whatever was thought of it before, and nothing that comes later takes that
back. Only refunds and charge-backs do, which are acts of their own.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, NewType, assert_never
from urllib.parse import urlsplit

from chassis.errors import InvalidArgument, NotFound, Refusal
from chassis.money import Money

from billing.domain.ids import AccountId, BillId, CustomerId, TransactionId

PaymentId = NewType("PaymentId", str)
TokenId = NewType("TokenId", str)
RefundId = NewType("RefundId", str)

PAYABLE_FOR = timedelta(days=1)
"""How long the payer has, from the request on."""

COUNTED_FOR = timedelta(minutes=30)
"""How long a payment on the provider's page counts as on its way: who goes to the page pays soon, or not at all."""

FIRST_ASKED_AFTER = timedelta(seconds=15)
"""When a payment whose sending came to nothing is sent again: longer than a sending lasts."""

_ASKED_AT_LEAST_EVERY = timedelta(hours=1)
_DOUBLINGS_MAX = 8
_URL_LENGTH_MAX = 2000


class PaymentNotFound(NotFound):
    """No such payment, or not one of the customer named: the answer is the same."""


class PaymentChannelNotFound(NotFound):
    """No channel of this name is configured."""


class PaymentEnded(Refusal):
    """A payment that is final cannot be given up any more."""


class PaymentNotSucceeded(Refusal):
    """Only what was paid can be given back."""


class PaymentAmountDiffers(Refusal):
    """A bill is paid whole; metadata `remaining_minor` says what it still asks for."""


class PaymentTokenNeeded(Refusal):
    """The channel has no page of its own to send the customer to."""


class TokensUnavailable(Refusal):
    """The channel stores no means of payment."""


class RefundUnavailable(Refusal):
    """The channel gives no money back."""


class RefundExceedsPayment(Refusal):
    """All refunds and charge-backs together do not pass the payment; metadata `refundable_minor` says what is left."""


class RefundExceedsCash(Refusal):
    """Only cash goes back to the payer, no gift credit and no credit limit; metadata `cash_minor` says how much."""


class PaymentState(StrEnum):
    """Where a payment stands."""

    REQUESTED = "requested"
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def on_its_way(self) -> bool:
        """Whether its money is still expected."""
        return self in (PaymentState.REQUESTED, PaymentState.PENDING)


class PaymentOrigin(StrEnum):
    """Who asked for a payment."""

    CUSTOMER = "customer"
    TOP_UP = "top_up"
    OPERATOR = "operator"


class RefundState(StrEnum):
    """Where a refund stands."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """Money given back to the payer through the channel: set aside at the request, taken when the provider did it."""

    refund_id: RefundId
    payment_id: PaymentId
    amount: Money
    state: RefundState
    reason: str
    hold_id: TransactionId
    requested_at: datetime
    settled_at: datetime | None = None
    asked: int = 0


class Chargeback(NamedTuple):
    """Money that the payer's bank took back; `sequence` is the provider's."""

    sequence: int
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """A payment as it stands, with what was given back of it."""

    payment_id: PaymentId
    account_id: AccountId
    customer_id: CustomerId
    amount: Money
    channel: str
    bill_id: BillId | None
    token_id: TokenId | None
    return_url: str
    origin: PaymentOrigin
    state: PaymentState
    provider_reference: str | None
    redirect_url: str
    decline_code: str
    transaction_id: TransactionId | None
    bill_missed: bool
    requested_at: datetime
    settled_at: datetime | None
    expires_at: datetime
    counted_until: datetime | None = None
    """Until when it counts as on its way; None is until it is final, which a stored means of payment brings about."""
    asked: int = 0
    chargebacks: tuple[Chargeback, ...] = ()
    refunds: tuple[Refund, ...] = ()

    @property
    def charged_back_minor(self) -> int:
        """What the payer's bank took back."""
        return sum(each.amount_minor for each in self.chargebacks)

    @property
    def refunded_minor(self) -> int:
        """What the provider gave back to the payer."""
        return self._refunds_minor(RefundState.SUCCEEDED)

    @property
    def refundable_minor(self) -> int:
        """What may still be given back: what is neither given back, nor being given back, nor taken back."""
        taken = self.charged_back_minor + self.refunded_minor + self._refunds_minor(RefundState.PENDING)
        return max(self.amount.minor_units - taken, 0)

    def check_owner(self, customer_id: CustomerId | None) -> None:
        """Refuses PaymentNotFound when a customer is named and the payment is another's."""
        if customer_id is not None and customer_id != self.customer_id:
            raise payment_not_found(self.payment_id)

    def refund(self, refund_id: RefundId) -> Refund | None:
        """The refund of this name."""
        return next((each for each in self.refunds if each.refund_id == refund_id), None)

    def amount_to_refund(self, asked: Money | None) -> Money:
        """What is asked for, or all there is left. Refuses PaymentNotSucceeded, RefundExceedsPayment."""
        if self.state is not PaymentState.SUCCEEDED:
            raise PaymentNotSucceeded(f"payment {self.payment_id} is {self.state}", payment_id=self.payment_id)
        amount = asked or Money(self.refundable_minor, self.amount.currency)
        if amount.currency != self.amount.currency:
            raise InvalidArgument("amount.currency", f"must be {self.amount.currency}, the currency of the payment")
        if not 0 < amount.minor_units <= self.refundable_minor:
            raise RefundExceedsPayment(
                f"of payment {self.payment_id} {self.refundable_minor} in minor units can still be given back",
                refundable_minor=str(self.refundable_minor),
            )
        return amount

    def _refunds_minor(self, state: RefundState) -> int:
        return sum(each.amount.minor_units for each in self.refunds if each.state is state)


class ReportType(StrEnum):
    """What a provider may say of a payment, in a call-back or when it is asked."""

    PENDING = "payment.pending"
    SUCCEEDED = "payment.succeeded"
    DECLINED = "payment.declined"
    REFUND_SUCCEEDED = "refund.succeeded"
    REFUND_DECLINED = "refund.declined"
    CHARGEBACK = "chargeback.opened"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a provider says happened. `sequence` counts what it says of one payment; `reference` is its own number."""

    type: ReportType
    payment_id: PaymentId
    channel: str
    reference: str
    amount: Money
    sequence: int
    occurred_at: datetime
    refund_id: RefundId | None = None
    decline_code: str = ""
    redirect_url: str = ""

    @property
    def about(self) -> str:
        """What it speaks of, by the provider's number of the payment: a refund or charge-back of it by its own as well,
        for of these there may be several of one amount."""
        match self.type:
            case ReportType.PENDING | ReportType.SUCCEEDED | ReportType.DECLINED:
                return self.reference
            case ReportType.REFUND_SUCCEEDED | ReportType.REFUND_DECLINED:
                return f"{self.reference}:{self.refund_id}"
            case ReportType.CHARGEBACK:
                return f"{self.reference}:{self.sequence}"
            case _:
                assert_never(self.type)


class Verdict(StrEnum):
    """What a report means for a payment as it stands."""

    PEND = "pend"
    SUCCEED = "succeed"
    DECLINE = "decline"
    REFUND = "refund"
    KEEP = "keep"
    """The refund was declined: what was set aside stays in the balance."""
    CHARGE_BACK = "charge_back"
    NOTHING = "nothing"
    """It is known, or was overtaken."""
    WAIT = "wait"
    """What must come before it has not come yet."""
    DIFFER = "differ"
    """Nothing here explains it: nothing is booked, and reconciliation shows it."""


def judge(payment: Payment, report: Report) -> Verdict:
    """What a report means. Reports of one payment may come in any order and any number of times."""
    match report.type:
        case ReportType.SUCCEEDED:
            return _judge_success(payment, report)
        case ReportType.DECLINED:
            return Verdict.DECLINE if payment.state.on_its_way else Verdict.NOTHING
        case ReportType.PENDING:
            return Verdict.PEND if payment.state is PaymentState.REQUESTED else Verdict.NOTHING
        case ReportType.CHARGEBACK:
            return _judge_chargeback(payment, report)
        case ReportType.REFUND_SUCCEEDED | ReportType.REFUND_DECLINED:
            return _judge_refund(payment, report)
        case _:
            assert_never(report.type)


def _judge_success(payment: Payment, report: Report) -> Verdict:
    if report.amount != payment.amount:
        return Verdict.DIFFER
    if payment.state is not PaymentState.SUCCEEDED:
        return Verdict.SUCCEED
    # The provider took money twice for one payment: its two numbers tell.
    return Verdict.NOTHING if report.reference == payment.provider_reference else Verdict.DIFFER


def _judge_chargeback(payment: Payment, report: Report) -> Verdict:
    known = next((each for each in payment.chargebacks if each.sequence == report.sequence), None)
    if known is not None:
        same = report.amount == Money(known.amount_minor, payment.amount.currency)
        return Verdict.NOTHING if same else Verdict.DIFFER
    left = payment.amount.minor_units - payment.charged_back_minor
    if report.amount.currency != payment.amount.currency or not 0 < report.amount.minor_units <= left:
        return Verdict.DIFFER
    return Verdict.CHARGE_BACK if payment.state is PaymentState.SUCCEEDED else Verdict.WAIT


def _judge_refund(payment: Payment, report: Report) -> Verdict:
    refund = payment.refund(report.refund_id) if report.refund_id else None
    if refund is None or refund.amount != report.amount:
        return Verdict.DIFFER
    if report.type is ReportType.REFUND_SUCCEEDED:
        # Money that left the provider has left, also after a "declined".
        return Verdict.NOTHING if refund.state is RefundState.SUCCEEDED else Verdict.REFUND
    return Verdict.KEEP if refund.state is RefundState.PENDING else Verdict.NOTHING


def next_ask(asked: int, last: datetime) -> datetime:
    """When a provider is asked again after it was called `asked` times: later and later, once an hour at last."""
    wait = FIRST_ASKED_AFTER * (1 << min(asked, _DOUBLINGS_MAX))
    return last + min(wait, _ASKED_AT_LEAST_EVERY)


def never_taken(payment: Payment, code: str) -> Report:
    """The report that a payment will not be made, where its provider has none: it knows nothing of the payment, or will
    know nothing of it."""
    return Report(
        type=ReportType.DECLINED,
        payment_id=payment.payment_id,
        channel=payment.channel,
        reference=payment.provider_reference or payment.payment_id,
        amount=payment.amount,
        sequence=0,
        occurred_at=payment.requested_at,
        decline_code=code,
    )


def check_return_url(url: str) -> str:
    """Where the provider sends the customer back to: empty or https, without a name and password in it."""
    return _check_address("return_url", url, ("https",))


def check_redirect_url(url: str, schemes: Collection[str]) -> str:
    """Where the provider wants the customer to be sent: as it may send back, or by what else its own address has."""
    return _check_address("body.redirect_url", url, schemes)


def _check_address(field: str, url: str, schemes: Collection[str]) -> str:
    if not url:
        return url
    if len(url) > _URL_LENGTH_MAX or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidArgument(field, f"must be at most {_URL_LENGTH_MAX} visible ASCII characters")
    try:
        parts = urlsplit(url)
        faultless = parts.scheme in schemes and bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        faultless = False
    if not faultless:
        raise InvalidArgument(field, "must be an https address")
    return url


def payment_not_found(payment_id: str) -> PaymentNotFound:
    """The one answer for a payment that is missing or another's."""
    return PaymentNotFound(f"there is no payment {payment_id}", payment_id=payment_id)


def refunds_by_payment(refunds: Sequence[Refund]) -> dict[PaymentId, tuple[Refund, ...]]:
    """Refunds in their order, by what they give back of."""
    found: dict[PaymentId, tuple[Refund, ...]] = {}
    for each in refunds:
        found[each.payment_id] = (*found.get(each.payment_id, ()), each)
    return found
