"""Alliance merchants, codes, sales and settlements between protobuf and the domain."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from chassis import clock, times
from chassis.auth import current_caller
from chassis.calendar import Period
from chassis.errors import InvalidArgument
from chassis.ids import check_id, new_id
from chassis.money import Money
from chassis.outbox import Routed
from google.protobuf.message import Message
from touchstone.common.v1 import common_pb2
from touchstone.member.v1 import merchant_events_pb2, merchant_pb2
from touchstone.member.v1 import merchant_service_pb2 as pb

from member.domain.merchant import (
    TTL_SECONDS_DEFAULT,
    MemberCode,
    Merchant,
    MerchantId,
    MerchantShop,
    ShopId,
    TierDiscount,
    VerificationId,
    code_drawn,
    code_read,
    code_shown,
    hash_of,
)
from member.domain.program import GENERAL, ProgramId, TierId
from member.domain.settlement import (
    LineKind,
    MerchantLine,
    MerchantSaleRecorded,
    MerchantSaleReversed,
    Sale,
    Totals,
)
from member.use_cases.merchant_sales import RecordSale, ReverseSale
from member.use_cases.merchants import IssueCode, PutMerchant, Verified, VerifyCode
from member.use_cases.settlements import Closed, Settlement, SettlementAsked
from member.wire.clubs import optional_to_proto
from member.wire.memberships import holder_from_proto

_MAX_CODE_CHARACTERS = 100

_PERIODS = {
    Period.DAY: merchant_pb2.SETTLEMENT_PERIOD_DAY,
    Period.WEEK: merchant_pb2.SETTLEMENT_PERIOD_WEEK,
    Period.MONTH: merchant_pb2.SETTLEMENT_PERIOD_MONTH,
    Period.QUARTER: merchant_pb2.SETTLEMENT_PERIOD_QUARTER,
}
_PERIODS_KNOWN = {number: period for period, number in _PERIODS.items()}
_KINDS = {
    LineKind.SALE: merchant_pb2.MERCHANT_LINE_KIND_SALE,
    LineKind.REVERSAL: merchant_pb2.MERCHANT_LINE_KIND_REVERSAL,
}


def merchant_id_from_proto(merchant_id: str) -> MerchantId:
    """A merchant's id, or InvalidArgument naming merchant_id."""
    return MerchantId(check_id("merchant_id", merchant_id))


def put_merchant_from_proto(request: pb.PutMerchantRequest) -> PutMerchant:
    """What is agreed, or InvalidArgument naming every field that is wrong."""
    merchant = request.merchant
    period = _PERIODS_KNOWN.get(merchant.settlement_period)
    if period is None:
        raise InvalidArgument("merchant.settlement_period", "is required: a day, a week, a month or a quarter")
    return PutMerchant(
        Merchant(
            MerchantId(check_id("merchant.merchant_id", merchant.merchant_id)),
            merchant.display_name,
            merchant.contact,
            _shops(merchant),
            tuple(merchant.subjects),
            ProgramId(check_id("merchant.program_id", merchant.program_id)) if merchant.program_id else GENERAL,
            _discounts(merchant),
            merchant.currency,
            _families(merchant),
            sale_discount_cap_minor=merchant.sale_discount_cap_minor,
            month_discount_cap_minor=merchant.month_discount_cap_minor,
            operator_share_basis_points=merchant.operator_share_basis_points,
            earn_rate_percent=merchant.earn_rate_percent,
            settlement_period=period,
            valid_from=times.from_proto(merchant.valid_from, "merchant.valid_from"),
            valid_until=_valid_until(merchant),
            suspended=merchant.suspended,
        ),
        put_by=current_caller().subject,
    )


def merchant_to_proto(merchant: Merchant) -> merchant_pb2.Merchant:
    """The merchant; who acts for it, and what the operator bears of a discount, is not for members."""
    to_a_member = current_caller().customer_id is not None
    return merchant_pb2.Merchant(
        merchant_id=merchant.merchant_id,
        display_name=merchant.display_name,
        contact=merchant.contact,
        shops=[
            merchant_pb2.MerchantShop(shop_id=shop.shop_id, display_name=shop.display_name, address=shop.address)
            for shop in merchant.shops
        ],
        subjects=() if to_a_member else merchant.subjects,
        program_id=merchant.program_id,
        discounts=[
            merchant_pb2.MerchantDiscount(tier_id=each.tier_id, basis_points=each.basis_points)
            for each in merchant.discounts
        ],
        currency=merchant.currency,
        product_families=merchant.product_families,
        sale_discount_cap_minor=merchant.sale_discount_cap_minor,
        month_discount_cap_minor=merchant.month_discount_cap_minor,
        operator_share_basis_points=0 if to_a_member else merchant.operator_share_basis_points,
        earn_rate_percent=merchant.earn_rate_percent,
        settlement_period=_PERIODS[merchant.settlement_period],
        valid_from=times.to_proto(merchant.valid_from),
        valid_until=optional_to_proto(merchant.valid_until),
        suspended=merchant.suspended,
        revision=merchant.revision,
    )


def issue_from_proto(request: pb.IssueMemberCodeRequest, code: str) -> IssueCode:
    """The member who is to show this code, or InvalidArgument; of the code the hash alone goes on."""
    holder = holder_from_proto(request)
    return IssueCode(new_id(), hash_of(code), holder, request.ttl_seconds or TTL_SECONDS_DEFAULT)


def issued_to_proto(code: MemberCode) -> pb.IssueMemberCodeResponse:
    """The reply as it is stored: without the code."""
    return pb.IssueMemberCodeResponse(code_id=code.code_id, expires_at=times.to_proto(code.expires_at))


def told_to_proto(reply: pb.IssueMemberCodeResponse, code: str) -> pb.IssueMemberCodeResponse:
    """The reply as it is told, once: with the code."""
    told = pb.IssueMemberCodeResponse(code=code_shown(code), qr_payload=code_drawn(code))
    told.MergeFrom(reply)
    return told


def verify_from_proto(request: pb.VerifyMemberCodeRequest) -> VerifyCode:
    """The code to verify for the caller, or InvalidArgument; what could be no code at all is a wrong one."""
    if not request.code:
        raise InvalidArgument("code", "is required")
    if len(request.code) > _MAX_CODE_CHARACTERS:
        raise InvalidArgument("code", f"must have at most {_MAX_CODE_CHARACTERS} characters")
    shop_id = ShopId(check_id("shop_id", request.shop_id)) if request.shop_id else ShopId("")
    return VerifyCode(current_caller().subject, hash_of(code_read(request.code)), shop_id)


def verified_to_proto(verified: Verified | None) -> pb.VerifyMemberCodeResponse:
    """What the merchant may know; the reply to a code that is not valid is empty, and is never sent."""
    if verified is None:
        return pb.VerifyMemberCodeResponse()
    verification = verified.verification
    return pb.VerifyMemberCodeResponse(
        verification_id=verification.verification_id,
        tier_name=verification.tier_name,
        discount_basis_points=verification.discount_basis_points,
        product_families=verified.product_families,
        expires_at=times.to_proto(verification.expires_at),
    )


def sale_from_proto(request: pb.RecordMerchantSaleRequest) -> RecordSale:
    """The sale, or InvalidArgument."""
    family = check_id("product_family", request.product_family) if request.product_family else ""
    return RecordSale(
        current_caller().subject,
        Sale(
            VerificationId(check_id("verification_id", request.verification_id)),
            check_id("receipt_number", request.receipt_number),
            Money(request.amount.minor_units, request.amount.currency),
            family,
            times.from_proto(request.occurred_at, "occurred_at"),
        ),
    )


def reversal_from_proto(request: pb.ReverseMerchantSaleRequest) -> ReverseSale:
    """The sale to take back, or InvalidArgument."""
    return ReverseSale(
        current_caller().subject,
        check_id("receipt_number", request.receipt_number),
        times.from_proto(request.occurred_at, "occurred_at"),
    )


def line_to_proto(line: MerchantLine) -> merchant_pb2.MerchantLine:
    """The line, which does not say who bought."""
    return merchant_pb2.MerchantLine(
        line_id=line.line_id,
        kind=_KINDS[line.kind],
        receipt_number=line.receipt_number,
        shop_id=line.shop_id,
        product_family=line.product_family,
        amount=_money(line.amount_minor, line.currency),
        discount=_money(line.discount_minor, line.currency),
        operator_share=_money(line.share_minor, line.currency),
        points=line.points,
        reverses=line.reverses or "",
        occurred_at=times.to_proto(line.occurred_at),
        settled_at=times.to_proto(line.settled_at),
    )


def settlement_from_proto(request: pb.GetSettlementRequest) -> SettlementAsked:
    """Whose settlement is asked for: any merchant's by who may read members, the own one's by a merchant."""
    caller = current_caller()
    subject = None if "member.read" in caller.scopes else caller.subject
    at = times.from_proto(request.at, "at") if request.HasField("at") else clock.now()
    if subject is None or request.merchant_id:
        merchant_id_from_proto(request.merchant_id)
    return SettlementAsked(request.merchant_id, subject, at)


def settlement_to_proto(
    settlement: Settlement, shown: list[MerchantLine], next_page_token: str
) -> pb.GetSettlementResponse:
    """The settlement with one page of its lines."""
    return pb.GetSettlementResponse(
        merchant_id=settlement.merchant.merchant_id,
        period_start=times.to_proto(settlement.period.start),
        period_end=times.to_proto(settlement.period.end),
        closed=settlement.closed,
        totals=_totals(settlement.totals, settlement.merchant.currency),
        lines=[line_to_proto(line) for line in shown],
        next_page_token=next_page_token,
    )


def close_from_proto(request: pb.CloseSettlementsRequest) -> datetime:
    """Until when periods are to be closed, or InvalidArgument."""
    return times.from_proto(request.as_of, "as_of")


def closed_to_proto(closed: Closed) -> pb.CloseSettlementsResponse:
    """What one round closed."""
    return pb.CloseSettlementsResponse(periods=closed.periods, looked_at=closed.merchants)


def sale_recorded_to_proto(fact: MerchantSaleRecorded) -> merchant_events_pb2.MerchantSaleRecorded:
    """The event of a sale."""
    line = fact.line
    return merchant_events_pb2.MerchantSaleRecorded(
        line_id=line.line_id,
        merchant_id=line.merchant_id,
        member_id=line.member_id,
        customer_id=fact.holder.customer_id,
        person_id=fact.holder.person_id,
        amount=_money(line.amount_minor, line.currency),
        discount=_money(line.discount_minor, line.currency),
        points=line.points,
        occurred_at=times.to_proto(fact.occurred_at),
    )


def sale_reversed_to_proto(fact: MerchantSaleReversed) -> merchant_events_pb2.MerchantSaleReversed:
    """The event of a sale taken back."""
    line = fact.line
    return merchant_events_pb2.MerchantSaleReversed(
        line_id=line.line_id,
        reverses=line.reverses or "",
        merchant_id=line.merchant_id,
        member_id=line.member_id,
        customer_id=fact.holder.customer_id,
        person_id=fact.holder.person_id,
        occurred_at=times.to_proto(fact.occurred_at),
    )


def _shops(merchant: merchant_pb2.Merchant) -> tuple[MerchantShop, ...]:
    return tuple(
        MerchantShop(
            ShopId(check_id(f"merchant.shops[{index}].shop_id", shop.shop_id)), shop.display_name, shop.address
        )
        for index, shop in enumerate(merchant.shops)
    )


def _discounts(merchant: merchant_pb2.Merchant) -> tuple[TierDiscount, ...]:
    return tuple(
        TierDiscount(TierId(check_id(f"merchant.discounts[{index}].tier_id", each.tier_id)), each.basis_points)
        for index, each in enumerate(merchant.discounts)
    )


def _families(merchant: merchant_pb2.Merchant) -> tuple[str, ...]:
    return tuple(
        check_id(f"merchant.product_families[{index}]", family)
        for index, family in enumerate(merchant.product_families)
    )


def _valid_until(merchant: merchant_pb2.Merchant) -> datetime | None:
    if not merchant.HasField("valid_until"):
        return None
    return times.from_proto(merchant.valid_until, "merchant.valid_until")


def _totals(totals: Totals, currency: str) -> merchant_pb2.SettlementTotals:
    return merchant_pb2.SettlementTotals(
        sales=totals.sales,
        reversals=totals.reversals,
        amount=_money(totals.amount_minor, currency),
        discount=_money(totals.discount_minor, currency),
        operator_share=_money(totals.share_minor, currency),
    )


def _money(minor_units: int, currency: str) -> common_pb2.Money:
    return common_pb2.Money(minor_units=minor_units, currency=currency)


FACTS: Mapping[type[Any], Callable[[Any], Message | Routed]] = {
    MerchantSaleRecorded: sale_recorded_to_proto,
    MerchantSaleReversed: sale_reversed_to_proto,
}
