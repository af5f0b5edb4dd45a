"""Sales of alliance merchants, and what is settled for a period: lines that are only ever added."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

from chassis.calendar import Calendar, Period, Span
from chassis.errors import AlreadyExists, InvalidArgument, NotFound, Refusal
from chassis.money import MAX_BASIS_POINTS, Money

from member.domain.membership import Holder, MemberId
from member.domain.merchant import Merchant, MerchantId, ShopId, Verification, VerificationId

LineId = NewType("LineId", str)


class VerificationNotFound(NotFound):
    """The merchant has no such verification, or it is no longer good for a sale."""

    def __init__(self, verification_id: VerificationId) -> None:
        super().__init__("there is no verification that a sale may name", verification_id=verification_id)


class VerificationUsed(Refusal):
    """A verification is good for one sale."""

    def __init__(self, verification_id: VerificationId) -> None:
        super().__init__("a sale names this verification already", verification_id=verification_id)


class ReceiptReused(AlreadyExists):
    """The merchant's receipt number stands for another sale."""

    def __init__(self, receipt_number: str) -> None:
        super().__init__("the receipt number stands for another sale", receipt_number=receipt_number)


class SaleNotFound(NotFound):
    """The merchant recorded no sale with this receipt number."""

    def __init__(self, receipt_number: str) -> None:
        super().__init__("no sale has this receipt number", receipt_number=receipt_number)


class SaleReversed(Refusal):
    """A sale is taken back once."""

    def __init__(self, receipt_number: str) -> None:
        super().__init__("the sale was taken back already", receipt_number=receipt_number)


class CurrencyNotSettled(Refusal):
    """The merchant settles in another currency."""

    def __init__(self, currency: str) -> None:
        super().__init__("the merchant settles in another currency", currency=currency)


class FamilyNotCovered(Refusal):
    """The discount is for other product families."""

    def __init__(self, product_family: str) -> None:
        super().__init__("the discount is for other product families", product_family=product_family)


class LineKind(StrEnum):
    """What a line stands for."""

    SALE = "sale"
    REVERSAL = "reversal"


@dataclass(frozen=True, slots=True)
class Sale:
    """What a merchant says that it sold."""

    verification_id: VerificationId
    receipt_number: str
    amount: Money
    product_family: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class MerchantLine:
    """A sale, or its reversal with negative amounts. `settled_at` says in which period it is settled."""

    line_id: LineId
    merchant_id: MerchantId
    kind: LineKind
    receipt_number: str
    verification_id: VerificationId
    member_id: MemberId
    shop_id: ShopId
    product_family: str
    currency: str
    amount_minor: int
    discount_minor: int
    share_minor: int
    points: int
    reverses: LineId | None
    occurred_at: datetime
    settled_at: datetime

    @property
    def paid_minor(self) -> int:
        """What the member paid."""
        return self.amount_minor - self.discount_minor

    def says(self, sale: Sale) -> bool:
        """Whether the line is this very sale, sent again."""
        return (
            self.verification_id == sale.verification_id
            and Money(self.amount_minor, self.currency) == sale.amount
            and self.product_family == sale.product_family
            and self.occurred_at == sale.occurred_at
        )

    def taken_back(self, line_id: LineId, *, occurred_at: datetime, settled_at: datetime) -> "MerchantLine":
        """The line that takes this one back, to the last minor unit."""
        return replace(
            self,
            line_id=line_id,
            kind=LineKind.REVERSAL,
            amount_minor=-self.amount_minor,
            discount_minor=-self.discount_minor,
            share_minor=-self.share_minor,
            points=-self.points,
            reverses=self.line_id,
            occurred_at=occurred_at,
            settled_at=settled_at,
        )


@dataclass(frozen=True, slots=True)
class Totals:
    """What lines come to."""

    sales: int = 0
    reversals: int = 0
    amount_minor: int = 0
    discount_minor: int = 0
    share_minor: int = 0

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(
            self.sales + other.sales,
            self.reversals + other.reversals,
            self.amount_minor + other.amount_minor,
            self.discount_minor + other.discount_minor,
            self.share_minor + other.share_minor,
        )


@dataclass(frozen=True, slots=True)
class MerchantSaleRecorded:
    """Effect: a member bought at a merchant."""

    line: MerchantLine
    holder: Holder
    occurred_at: datetime

    @property
    def aggregate_id(self) -> str:
        """The membership orders its facts."""
        return self.line.member_id


@dataclass(frozen=True, slots=True)
class MerchantSaleReversed:
    """Effect: a sale was taken back."""

    line: MerchantLine
    holder: Holder
    occurred_at: datetime

    @property
    def aggregate_id(self) -> str:
        """The membership orders its facts."""
        return self.line.member_id


def check_sale(sale: Sale, merchant: Merchant) -> None:
    """Refuses what the merchant cannot sell to members: CurrencyNotSettled, FamilyNotCovered."""
    if sale.amount.currency != merchant.currency:
        raise CurrencyNotSettled(sale.amount.currency)
    if merchant.product_families and sale.product_family not in merchant.product_families:
        raise FamilyNotCovered(sale.product_family)


def check_date(sale: Sale, verification: Verification, *, told_at: datetime, back: timedelta, ahead: timedelta) -> None:
    """Refuses, with InvalidArgument, a sale dated otherwise than while its verification was good, and before it was
    told of, give or take how far clocks may be apart: who chose the date would choose the month of the cap."""
    if verification.verified_at - sale.occurred_at > back:
        raise InvalidArgument("occurred_at", "must not lie before the code was verified")
    if sale.occurred_at > min(verification.expires_at, told_at) + ahead:
        raise InvalidArgument("occurred_at", "must not lie in the future, nor after the verification's end")


def discount_of(amount_minor: int, merchant: Merchant, basis_points: int, *, given_in_month_minor: int) -> int:
    """The discount on an amount: rounded down to the minor unit, then cut to the caps of the sale and of what the
    member was given in the calendar month."""
    discount = amount_minor * basis_points // MAX_BASIS_POINTS
    if merchant.sale_discount_cap_minor:
        discount = min(discount, merchant.sale_discount_cap_minor)
    if merchant.month_discount_cap_minor:
        discount = min(discount, max(0, merchant.month_discount_cap_minor - given_in_month_minor))
    return discount


def share_of(discount_minor: int, operator_share_basis_points: int) -> int:
    """What of a sale's discount the operator bears: half a minor unit is rounded up, for each sale on its own, so
    that a total is the sum of its lines."""
    return (discount_minor * operator_share_basis_points * 2 + MAX_BASIS_POINTS) // (2 * MAX_BASIS_POINTS)


def line_of(
    sale: Sale, merchant: Merchant, verification: Verification, *, line_id: LineId, given_in_month_minor: int
) -> MerchantLine:
    """The sale as it is settled, when its period is still open."""
    discount = discount_of(
        sale.amount.minor_units,
        merchant,
        verification.discount_basis_points,
        given_in_month_minor=given_in_month_minor,
    )
    return MerchantLine(
        line_id,
        merchant.merchant_id,
        LineKind.SALE,
        sale.receipt_number,
        sale.verification_id,
        verification.member_id,
        verification.shop_id,
        sale.product_family,
        sale.amount.currency,
        amount_minor=sale.amount.minor_units,
        discount_minor=discount,
        share_minor=share_of(discount, merchant.operator_share_basis_points),
        points=0,
        reverses=None,
        occurred_at=sale.occurred_at,
        settled_at=sale.occurred_at,
    )


def settled_at(occurred_at: datetime, closed_until: datetime) -> datetime:
    """In which period something is settled: in its own, or in the one that is open where its own was closed."""
    return max(occurred_at, closed_until)


def period_at(calendar: Calendar, period: Period, instant: datetime, *, closed_until: datetime) -> Span:
    """The open period around an instant. It begins where the last was closed, also in the midst of a month whose
    merchant was settled with by the week before."""
    span = calendar.span(period, instant)
    return Span(max(span.start, closed_until), span.end)


def totals_of(lines: Iterable[MerchantLine]) -> Totals:
    """What lines come to."""
    total = Totals()
    for line in lines:
        sale = line.kind is LineKind.SALE
        total += Totals(int(sale), int(not sale), line.amount_minor, line.discount_minor, line.share_minor)
    return total
