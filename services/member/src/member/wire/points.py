"""Points, their entries and holds between protobuf and the domain, and billing's events as payments to reward."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from chassis import times
from chassis.auth import current_caller
from chassis.consumers import Delivery
from chassis.errors import InvalidArgument
from chassis.ids import check_id, check_request_id, named_id
from chassis.money import Money
from ledger import EntryRecord, HoldNotFound
from touchstone.billing.v1 import account_events_pb2, billing_events_pb2
from touchstone.common.v1 import common_pb2
from touchstone.member.v1 import member_pb2, points_pb2
from touchstone.member.v1 import points_service_pb2 as points_pb

from member.domain.pending import Refund
from member.domain.points import HoldEnd, PointsBalance, PointsKind
from member.use_cases.earning import AwardPoints, Booked, RewardPayment
from member.use_cases.spending import ConfirmHold, Expired, HoldPoints, ReleaseHold
from member.use_cases.taking_back import TakeBack
from member.wire.customers import customer_id_from_proto
from member.wire.earned import earn_class_from_proto, parts_to_proto
from member.wire.memberships import holder_from_proto

EXPIRIES_SHOWN = 10
_TRANSACTIONS = "6f7b1f0c-5f1d-4a53-9a3e-2c1d6f0f9b41"


def transaction_id_of(use_case: str, request_id: str) -> str:
    """The transaction that a caller's request comes to: always the same, so that the ledger refuses a repeat even when
    the claim of the request is no longer kept."""
    return transaction_id_by(current_caller().subject, use_case, check_request_id(request_id))


def transaction_id_by(caller: str, use_case: str, request_id: str) -> str:
    """The transaction that a request of this caller came to, or would have."""
    return named_id(_TRANSACTIONS, f"{use_case}\n{caller}\n{request_id}")


def award_from_proto(request: points_pb.EarnPointsRequest) -> AwardPoints:
    """The points to give, or InvalidArgument."""
    return AwardPoints(
        transaction_id=transaction_id_of("earn_points", request.request_id),
        holder=holder_from_proto(request),
        points=request.points,
        reason=request.reason,
        occurred_at=times.from_proto(request.occurred_at, "occurred_at"),
        expires_at=times.from_proto(request.expires_at, "expires_at") if request.HasField("expires_at") else None,
        earn_class=earn_class_from_proto("earn_class", request.earn_class) if request.earn_class else None,
        campaign_id=check_id("campaign_id", request.campaign_id) if request.campaign_id else "",
    )


def awarded_to_proto(booked: Booked) -> points_pb.EarnPointsResponse:
    """The points given."""
    return points_pb.EarnPointsResponse(
        transaction_id=booked.transaction_id, balance=balance_to_proto(booked.balance), points=booked.points
    )


def hold_from_proto(request: points_pb.HoldPointsRequest) -> HoldPoints:
    """The points to set aside, or InvalidArgument."""
    return HoldPoints(
        hold_id=transaction_id_of("hold_points", request.request_id),
        holder=holder_from_proto(request),
        points=request.points,
        reason=request.reason,
        occurred_at=times.from_proto(request.occurred_at, "occurred_at"),
        expires_at=times.from_proto(request.expires_at, "expires_at"),
    )


def held_to_proto(booked: Booked) -> points_pb.HoldPointsResponse:
    """The hold."""
    return points_pb.HoldPointsResponse(hold_id=booked.transaction_id, balance=balance_to_proto(booked.balance))


def confirm_from_proto(request: points_pb.ConfirmHoldRequest) -> ConfirmHold:
    """The hold to spend, or InvalidArgument; no points said means all."""
    return ConfirmHold(
        customer_id_from_proto(request.customer_id), _hold_end("confirm_hold", request), points=request.points or None
    )


def confirmed_to_proto(booked: Booked) -> points_pb.ConfirmHoldResponse:
    """The points spent."""
    return points_pb.ConfirmHoldResponse(transaction_id=booked.transaction_id, balance=balance_to_proto(booked.balance))


def release_from_proto(request: points_pb.ReleaseHoldRequest) -> ReleaseHold:
    """The hold to free, or InvalidArgument."""
    return ReleaseHold(customer_id_from_proto(request.customer_id), _hold_end("release_hold", request))


def released_to_proto(booked: Booked) -> points_pb.ReleaseHoldResponse:
    """The points freed."""
    return points_pb.ReleaseHoldResponse(balance=balance_to_proto(booked.balance))


def expire_from_proto(request: points_pb.ExpirePointsRequest) -> datetime:
    """Until when expiries are to be booked, or InvalidArgument."""
    return times.from_proto(request.as_of, "as_of")


def expired_to_proto(expired: Expired) -> points_pb.ExpirePointsResponse:
    """What was booked."""
    return points_pb.ExpirePointsResponse(accounts=expired.accounts, points=expired.points)


def balance_to_proto(balance: PointsBalance) -> member_pb2.PointsBalance:
    """Points of a member."""
    return member_pb2.PointsBalance(
        member_id=balance.member_id,
        balance=balance.balance,
        held=balance.held,
        available=balance.available,
        account_version=balance.account_version,
    )


def balance_answer_to_proto(
    balance: PointsBalance, expiries: Sequence[tuple[datetime, int]], days: Sequence[points_pb2.PointsExpiryDay]
) -> points_pb.GetPointsBalanceResponse:
    """The points, and what expires next, by instants and by days of the operator's."""
    return points_pb.GetPointsBalanceResponse(
        balance=balance_to_proto(balance),
        expiries=[
            points_pb.PointsExpiry(points=points, expires_at=times.to_proto(expires_at))
            for expires_at, points in expiries[:EXPIRIES_SHOWN]
        ],
        expiry_days=days,
    )


def entry_to_proto(entry: EntryRecord) -> member_pb2.PointsEntry:
    """One line of the statement; a hold and its release move no points and show 0."""
    rule = str(entry.metadata.get("rule", ""))
    return member_pb2.PointsEntry(
        transaction_id=entry.source,
        points=entry.amount,
        balance_after=entry.balance_after,
        account_version=entry.account_version,
        kind=entry.kind,
        reason=str(entry.metadata.get("reason", "")),
        occurred_at=times.to_proto(entry.occurred_at),
        rule_id=rule,
        parts=parts_to_proto(rule, str(entry.metadata.get("parts", "")), entry.amount),
        purpose=str(entry.metadata.get("purpose", "")),
        reference=str(entry.metadata.get("reference", "")),
        reverses=entry.reverses or "",
    )


def recharge_from_delivery(delivery: Delivery[billing_events_pb2.AccountRecharged]) -> RewardPayment:
    """A recharge as a payment to reward, or InvalidArgument for an event that cannot be one."""
    message = delivery.message
    if message.amount.minor_units == 0:
        raise InvalidArgument("amount.minor_units", "must be more than 0")
    return replace(_payment(delivery, message, PointsKind.EARN_RECHARGE), channel=message.channel)


def order_from_delivery(delivery: Delivery[billing_events_pb2.AccountCharged]) -> RewardPayment:
    """A charge as a payment to reward, or InvalidArgument for an event that cannot be one."""
    return _payment(delivery, delivery.message, PointsKind.EARN_ORDER)


def recharge_reversed_from_delivery(delivery: Delivery[account_events_pb2.RechargeReversed]) -> TakeBack:
    """What is to be taken back of a recharge's points, or InvalidArgument for an event that cannot say it."""
    message = delivery.message
    return _take_back(
        delivery, message, message.transaction_id, of=message.recharge_transaction_id, paid=message.recharge_amount
    )


def charge_refunded_from_delivery(delivery: Delivery[account_events_pb2.ChargeRefunded]) -> TakeBack:
    """What is to be taken back of a charge's points, or InvalidArgument for an event that cannot say it."""
    message = delivery.message
    return _take_back(
        delivery, message, message.transaction_id, of=f"charge:{message.charge_id}", paid=message.charge_amount
    )


def _hold_end(use_case: str, request: points_pb.ConfirmHoldRequest | points_pb.ReleaseHoldRequest) -> HoldEnd:
    hold_id = check_id("hold_id", request.hold_id)
    if ":" in hold_id:  # a fee or an order of the shop: held by the service itself, which ends it itself
        raise HoldNotFound("the customer has no such hold", hold=hold_id)
    return HoldEnd(
        transaction_id_of(use_case, request.request_id),
        hold_id,
        occurred_at=times.from_proto(request.occurred_at, "occurred_at"),
    )


def _payment(
    delivery: Delivery[billing_events_pb2.AccountRecharged] | Delivery[billing_events_pb2.AccountCharged],
    message: billing_events_pb2.AccountRecharged | billing_events_pb2.AccountCharged,
    kind: PointsKind,
) -> RewardPayment:
    return RewardPayment(
        source=f"{delivery.source}:{_name_of(message) or delivery.event_id}",
        customer_id=customer_id_from_proto(message.customer_id),
        kind=kind,
        amount=Money(message.amount.minor_units, message.amount.currency),
        occurred_at=times.from_proto(message.occurred_at, "occurred_at"),
    )


def _name_of(message: billing_events_pb2.AccountRecharged | billing_events_pb2.AccountCharged) -> str:
    """The payment as billing names it also when it gives it back."""
    if isinstance(message, billing_events_pb2.AccountRecharged):
        return message.transaction_id
    return f"charge:{message.charge_id}" if message.charge_id else ""


def _take_back(
    delivery: Delivery[account_events_pb2.RechargeReversed] | Delivery[account_events_pb2.ChargeRefunded],
    message: account_events_pb2.RechargeReversed | account_events_pb2.ChargeRefunded,
    refund_id: str,
    *,
    of: str,
    paid: common_pb2.Money,
) -> TakeBack:
    return TakeBack(
        Refund(
            f"{delivery.source}:{refund_id or delivery.event_id}",
            f"{delivery.source}:{of}",
            paid_minor=paid.minor_units,
            refunded_minor=message.amount.minor_units,
            occurred_at=times.from_proto(message.occurred_at, "occurred_at"),
        )
    )
