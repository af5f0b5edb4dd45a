"""Payment notices: what an account is asked to pay, line by line, from the business as it stands.

A notice is worked out when it is asked for and never stored. Its lines are facts without words: whoever shows them
chooses the language.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from chassis.money import Money

from billing.domain.account import Account, BalanceParts
from billing.domain.bill import Bill, BillKind, BillState
from billing.domain.movement import MovementKind
from billing.domain.payment import Payment
from billing.domain.reckoning import Reckoned

LINES_MAX = 500
"""Lines of movements in a notice; older ones are left out, and the notice says so."""

LOOKS_BACK = timedelta(days=60)
"""How far back its lines go at most, from the newest."""


class NoticeLineKind(StrEnum):
    """What a line of a notice is about, in the order in which they are shown."""

    CHARGED = "charged"
    SUBSCRIPTION = "subscription"
    REFUND = "refund"
    RECHARGE = "recharge"
    BILL = "bill"
    PENDING = "pending"


class Name(NamedTuple):
    """How a product is called; an empty Chinese name is the same."""

    english: str
    chinese: str = ""


class Moving(NamedTuple):
    """A movement of the balance as a notice needs it. `charge_id` is the charge that it took or gave back, with the
    name of its product; `category` is that of what it took."""

    transaction_id: str
    kind: str
    amount: Money
    note: str
    charge_id: str
    category: str
    name: Name | None
    account_version: int
    occurred_at: datetime


class Renewal(NamedTuple):
    """A subscription with its next cycle at list price, which begins on `starts_on`."""

    subscription_id: str
    state: str
    name: Name
    quantity: int
    amount: Money
    starts_on: date
    starts_at: datetime


class NoticeLine(NamedTuple):
    """One line; a negative amount takes off what is to be paid. `topic` is the movement's, bill's, subscription's or
    payment's own kind or state, `text` what the caller wrote."""

    kind: NoticeLineKind
    topic: str
    amount: Money
    occurred_at: datetime
    reference: str
    text: str = ""
    name: Name | None = None
    quantity: int = 1
    number: int = 0
    counted: bool = True
    reckoned: Reckoned | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Business:
    """All that a notice is worked out from. `movements` are those since the account last came back to its threshold,
    newest first."""

    account: Account
    movements: Sequence[Moving]
    cut: bool
    reckonings: dict[str, Reckoned]
    renewals: Sequence[Renewal]
    bills: Sequence[Bill]
    pending: Sequence["Pending"]


class Pending(NamedTuple):
    """A payment on its way. One that was on its way already when the newest open bill was issued was counted there:
    the bills ask for so much less."""

    payment: Payment
    counted_by_bill: bool


class PaymentNotice(NamedTuple):
    """What an account is asked to pay."""

    lines: tuple[NoticeLine, ...]
    cut: bool
    asked: Money
    on_its_way: Money
    to_pay: Money
    due_at: datetime | None
    bills: tuple[Bill, ...]


def notice_of(business: Business) -> PaymentNotice:
    """Works the notice out. To pay is what open bills ask for, less what is on its way for them, never below 0."""
    money = business.account.money
    asking = [bill for bill in business.bills if bill.state is BillState.OPEN]
    asked = sum(bill.remaining.minor_units for bill in asking)
    coming = sum(each.payment.amount.minor_units for each in business.pending if not each.counted_by_bill)
    lines = [
        *(_moved(each, business.reckonings) for each in business.movements),
        *map(_renewed, business.renewals),
        *map(_asked, business.bills),
        *map(_coming, business.pending),
    ]
    return PaymentNotice(
        lines=tuple(sorted(lines, key=_place)),
        cut=business.cut,
        asked=money(asked),
        on_its_way=money(coming),
        to_pay=money(max(asked - coming, 0)),
        due_at=min((bill.due_at for bill in asking), default=None),
        bills=tuple(business.bills),
    )


def sums_by_kind(lines: Iterable[NoticeLine]) -> dict[NoticeLineKind, int]:
    """What the lines of each kind come to, in minor units."""
    sums: dict[NoticeLineKind, int] = {}
    for line in lines:
        sums[line.kind] = sums.get(line.kind, 0) + line.amount.minor_units
    return sums


def _place(line: NoticeLine) -> tuple[int, datetime, str]:
    return _ORDER[line.kind], line.occurred_at, line.reference


_ORDER = {kind: place for place, kind in enumerate(NoticeLineKind)}


def _moved(moving: Moving, reckonings: dict[str, Reckoned]) -> NoticeLine:
    if moving.kind == MovementKind.CHARGE_REFUND:
        kind = NoticeLineKind.REFUND
    else:
        kind = NoticeLineKind.CHARGED if moving.amount.minor_units < 0 else NoticeLineKind.RECHARGE
    return NoticeLine(
        kind=kind,
        topic=moving.category or moving.kind,
        amount=Money(-moving.amount.minor_units, moving.amount.currency),
        occurred_at=moving.occurred_at,
        reference=moving.charge_id or moving.transaction_id,
        text=moving.note,
        name=moving.name,
        reckoned=reckonings.get(moving.charge_id) if kind is NoticeLineKind.CHARGED else None,
    )


def _renewed(renewal: Renewal) -> NoticeLine:
    return NoticeLine(
        kind=NoticeLineKind.SUBSCRIPTION,
        topic=renewal.state,
        amount=renewal.amount,
        occurred_at=renewal.starts_at,
        reference=renewal.subscription_id,
        name=renewal.name,
        quantity=renewal.quantity,
    )


def _asked(bill: Bill) -> NoticeLine:
    """A credit note takes off what the bill that it belongs to asks for."""
    sign = -1 if bill.kind is BillKind.CREDIT_NOTE else 1
    return NoticeLine(
        kind=NoticeLineKind.BILL,
        topic=bill.kind,
        amount=Money(sign * bill.amount.minor_units, bill.amount.currency),
        occurred_at=bill.issued_at,
        reference=bill.bill_id,
        text=bill.reason,
        number=bill.bill_number,
    )


def _coming(pending: Pending) -> NoticeLine:
    payment = pending.payment
    return NoticeLine(
        kind=NoticeLineKind.PENDING,
        topic=payment.state,
        amount=Money(-payment.amount.minor_units, payment.amount.currency),
        occurred_at=payment.requested_at,
        reference=payment.payment_id,
        text=payment.channel,
        counted=not pending.counted_by_bill,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeOf:
    """A notice with the account that it is of, as it stands."""

    account: Account
    as_of: datetime
    balance: BalanceParts
    threshold: Money | None
    notice: PaymentNotice
