"""Recharges, charges and adjustments on the wire."""

from chassis.ids import check_id
from chassis.times import from_proto
from touchstone.billing.v1 import account_service_pb2 as account_pb
from touchstone.billing.v1 import charging_service_pb2 as charging_pb

from billing.domain.movement import Moved
from billing.domain.wish import Adjustment, Charge, Recharge
from billing.wire.bill import bill_to_proto
from billing.wire.value import (
    account_id_from_proto,
    channel_from_proto,
    money_from_proto,
    money_to_proto,
    owner_from_proto,
    text_from_proto,
)


def recharge_from_proto(request: account_pb.RechargeRequest) -> Recharge:
    """The wish to put money in."""
    return Recharge(
        account_id=account_id_from_proto(request.account_id),
        customer_id=owner_from_proto(request.customer_id),
        amount=money_from_proto(request.amount),
        channel=channel_from_proto(request.channel),
        occurred_at=from_proto(request.occurred_at, "occurred_at"),
        external_id=check_id("external_id", request.external_id) if request.external_id else "",
    )


def recharged_to_proto(moved: Moved) -> account_pb.RechargeResponse:
    """The answer to Recharge."""
    return account_pb.RechargeResponse(
        transaction_id=moved.movement.transaction_id,
        balance_after=money_to_proto(moved.balance_after),
        account_version=moved.account_version,
    )


def charge_from_proto(request: charging_pb.ChargeRequest) -> Charge:
    """The wish to take a rated charge."""
    return Charge(
        account_id=account_id_from_proto(request.account_id),
        amount=money_from_proto(request.amount),
        description=text_from_proto("description", request.description),
        occurred_at=from_proto(request.occurred_at, "occurred_at"),
        external_id=check_id("external_id", request.external_id) if request.external_id else "",
    )


def charged_to_proto(moved: Moved) -> charging_pb.ChargeResponse:
    """The answer to Charge, with the bill it caused."""
    return charging_pb.ChargeResponse(
        charge_id=moved.movement.identity,
        transaction_id=moved.transaction_id or "",
        balance_after=money_to_proto(moved.balance_after),
        account_version=moved.account_version,
        bill=bill_to_proto(moved.bill) if moved.bill else None,
        gift_amount=money_to_proto(moved.gift),
    )


def adjustment_from_proto(request: account_pb.AdjustBalanceRequest) -> Adjustment:
    """The wish to correct a balance."""
    return Adjustment(
        account_id=account_id_from_proto(request.account_id),
        amount=money_from_proto(request.amount),
        reason=text_from_proto("reason", request.reason, required=True),
        occurred_at=from_proto(request.occurred_at, "occurred_at"),
    )


def adjusted_to_proto(moved: Moved) -> account_pb.AdjustBalanceResponse:
    """The answer to AdjustBalance, with the bill it caused."""
    return account_pb.AdjustBalanceResponse(
        transaction_id=moved.movement.transaction_id,
        balance_after=money_to_proto(moved.balance_after),
        account_version=moved.account_version,
        bill=bill_to_proto(moved.bill) if moved.bill else None,
    )
