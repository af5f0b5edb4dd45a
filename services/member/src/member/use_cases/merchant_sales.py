"""Sales of alliance merchants to members whose code was verified, and their reversal."""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from chassis.calendar import Calendar, Period
from chassis.errors import Refusal
from chassis.ids import new_id
from chassis.work import Transaction
from ledger import AlreadyReversed

from member.domain.membership import Member
from member.domain.merchant import Merchant, Verification
from member.domain.points import Grant, PointsKind, Share, points_for_money
from member.domain.settlement import (
    LineId,
    LineKind,
    MerchantLine,
    MerchantSaleRecorded,
    MerchantSaleReversed,
    ReceiptReused,
    Sale,
    SaleNotFound,
    SaleReversed,
    VerificationNotFound,
    VerificationUsed,
    check_date,
    check_sale,
    line_of,
    settled_at,
)
from member.store import earners, members, programs, settlements
from member.store import merchants as store
from member.use_cases.earning import give_points
from member.use_cases.merchants import merchant_of
from member.use_cases.reversing import ReversePoints, reverse_points


@dataclass(frozen=True, slots=True)
class RecordSale:
    """Record a sale of the merchant that the subject of the caller's token acts for."""

    subject: str
    sale: Sale

    def __post_init__(self) -> None:
        self.sale.amount.positive("amount")


@dataclass(frozen=True, slots=True)
class ReverseSale:
    """Take a sale of that merchant back, as a whole."""

    subject: str
    receipt_number: str
    occurred_at: datetime


async def record_sale(
    transaction: Transaction, command: RecordSale, *, calendar: Calendar, back: timedelta, ahead: timedelta
) -> MerchantLine:
    """Record a sale, work out its discount, and give its points. The same receipt again, under whatever request, is
    the sale that is there. Its date may lie so far `back` of the verification and `ahead` of its end and of now.

    Refuses TokenOfNoMerchant, ReceiptReused for another sale under a number, CurrencyNotSettled, FamilyNotCovered,
    VerificationNotFound also where it is no longer good or another merchant's, VerificationUsed; InvalidArgument for a
    date that is not about the verification's.
    """
    connection, sale = transaction.connection, command.sale
    merchant = await merchant_of(connection, command.subject)
    verification = await store.find_verification(connection, sale.verification_id)
    if verification is None or verification.merchant_id != merchant.merchant_id:
        raise VerificationNotFound(sale.verification_id)
    before = await _recorded_before(transaction, merchant, sale)
    if before is not None:
        return before
    check_sale(sale, merchant)
    if verification.expires_at <= transaction.recorded_at:
        raise VerificationNotFound(sale.verification_id)
    check_date(sale, verification, told_at=transaction.recorded_at, back=back, ahead=ahead)
    line = await _line(transaction, merchant, verification, sale=sale, calendar=calendar)
    if not await settlements.insert_line(connection, line, recorded_at=transaction.recorded_at):
        before = await _recorded_before(transaction, merchant, sale)
        if before is None:
            raise VerificationUsed(sale.verification_id)
        return before
    member = (await members.find_members_by_id(connection, [line.member_id]))[line.member_id]
    await _give_points(transaction, line, member)
    transaction.emit(MerchantSaleRecorded(line, member.holder, line.occurred_at))
    return line


async def reverse_sale(transaction: Transaction, command: ReverseSale) -> MerchantLine:
    """Take a sale back, once; what is left of its points is taken back too, unless an operator did that before.
    SaleNotFound, SaleReversed."""
    connection = transaction.connection
    merchant = await merchant_of(connection, command.subject)
    sale = await settlements.find_line(connection, merchant.merchant_id, command.receipt_number, LineKind.SALE)
    if sale is None:
        raise SaleNotFound(command.receipt_number)
    occurred_at = max(command.occurred_at, sale.occurred_at)
    closed_until = await settlements.closed_until(connection, merchant.merchant_id, lock=True)
    line = sale.taken_back(LineId(new_id()), occurred_at=occurred_at, settled_at=settled_at(occurred_at, closed_until))
    if not await settlements.insert_line(connection, line, recorded_at=transaction.recorded_at):
        raise SaleReversed(command.receipt_number)
    member = (await members.find_members_by_id(connection, [sale.member_id]))[sale.member_id]
    if sale.points:
        reversal = ReversePoints(_source(line), member.customer_id, _source(sale), None, "sale taken back", occurred_at)
        with suppress(AlreadyReversed):
            await reverse_points(transaction, reversal)
    transaction.emit(MerchantSaleReversed(line, member.holder, occurred_at))
    return line


async def _recorded_before(transaction: Transaction, merchant: Merchant, sale: Sale) -> MerchantLine | None:
    """The very sale where its receipt is known; ReceiptReused where that stands for another."""
    found = await settlements.find_line(
        transaction.connection, merchant.merchant_id, sale.receipt_number, LineKind.SALE
    )
    if found is not None and not found.says(sale):
        raise ReceiptReused(sale.receipt_number)
    return found


async def _line(
    transaction: Transaction, merchant: Merchant, verification: Verification, *, sale: Sale, calendar: Calendar
) -> MerchantLine:
    """The sale as it is settled in the period that is open, which nobody closes until the transaction ends; with the
    points that it gives, on what was paid, rounded down, and none to who left since its code was verified."""
    connection = transaction.connection
    given = 0
    if merchant.month_discount_cap_minor:
        month = calendar.span(Period.MONTH, sale.occurred_at)
        await settlements.lock_given(connection, verification.member_id, merchant.merchant_id)
        given = await settlements.given_in(connection, verification.member_id, merchant.merchant_id, month)
    line = line_of(sale, merchant, verification, line_id=LineId(new_id()), given_in_month_minor=given)
    closed_until = await settlements.closed_until(connection, merchant.merchant_id, lock=True)
    left = await earners.left_for_good(connection, {verification.member_id})
    return replace(
        line,
        points=0 if left else points_for_money(line.paid_minor, merchant.earn_rate_percent),
        settled_at=settled_at(line.occurred_at, closed_until),
    )


async def _give_points(transaction: Transaction, line: MerchantLine, member: Member) -> None:
    if not line.points:
        return
    known = await programs.find_programs(transaction.connection, [member.program_id])
    expires_at = known[member.program_id].points_expire_at(line.occurred_at)
    grant = Grant(
        _source(line),
        PointsKind.EARN_MERCHANT,
        f"merchant {line.merchant_id}",
        line.occurred_at,
        shares=(Share(member.member_id, line.points, expires_at),),
        rule_id=f"merchant/{line.merchant_id}",
    )
    (posted,) = await give_points(transaction, [grant])
    if isinstance(posted, Refusal):
        raise posted


def _source(line: MerchantLine) -> str:
    return f"merchant:{line.line_id}"
