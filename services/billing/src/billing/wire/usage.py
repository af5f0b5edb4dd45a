"""Usage records on the wire."""

from chassis.ids import check_id
from chassis.times import from_proto, to_proto
from touchstone.billing.v1 import charging_pb2
from touchstone.billing.v1 import usage_service_pb2 as pb

from billing.domain.ids import AccountId, ProductId
from billing.domain.movement import check_occurred_at
from billing.domain.usage import SubscriberId, UsageId, UsageRecord, UsageStanding, UsageState
from billing.store.usage import UsageFilter
from billing.use_cases.usage import Used
from billing.wire.bill import bill_to_proto
from billing.wire.value import account_id_from_proto, money_to_proto

_STATE_TO_PROTO = {
    UsageState.CHARGED: charging_pb2.USAGE_STATE_CHARGED,
    UsageState.REJECTED: charging_pb2.USAGE_STATE_REJECTED,
    UsageState.REPLACED: charging_pb2.USAGE_STATE_REPLACED,
}


def usage_id_from_proto(value: str) -> UsageId:
    """Refuses a malformed identifier of a record."""
    return UsageId(check_id("usage_id", value))


def usage_from_proto(request: pb.RecordUsageRequest) -> UsageRecord:
    """The record as its source reports it."""
    usage = request.usage
    occurred_at = from_proto(usage.occurred_at, "usage.occurred_at")
    check_occurred_at(occurred_at)
    corrects, subscriber = usage.corrects_usage_id, usage.subscriber_id
    return UsageRecord(
        usage_id=UsageId(check_id("usage.usage_id", usage.usage_id)),
        account_id=AccountId(check_id("usage.account_id", usage.account_id)),
        product_id=ProductId(check_id("usage.product_id", usage.product_id)),
        subscriber_id=SubscriberId(check_id("usage.subscriber_id", subscriber) if subscriber else ""),
        quantity=usage.quantity,
        corrects=UsageId(check_id("usage.corrects_usage_id", corrects)) if corrects else None,
        occurred_at=occurred_at,
    )


def usage_filter_from_proto(request: pb.ListUsageRequest) -> UsageFilter:
    """Which records are asked for."""
    product = request.product_id
    return UsageFilter(
        account_id_from_proto(request.account_id), ProductId(check_id("product_id", product)) if product else None
    )


def usage_to_proto(usage: UsageRecord) -> charging_pb2.UsageRecord:
    """The record as it came."""
    return charging_pb2.UsageRecord(
        usage_id=usage.usage_id,
        account_id=usage.account_id,
        product_id=usage.product_id,
        quantity=usage.quantity,
        subscriber_id=usage.subscriber_id,
        corrects_usage_id=usage.corrects or "",
        occurred_at=to_proto(usage.occurred_at),
    )


def standing_to_proto(standing: UsageStanding) -> charging_pb2.UsageStanding:
    """A record with what became of it."""
    return charging_pb2.UsageStanding(
        usage=usage_to_proto(standing.usage),
        state=_STATE_TO_PROTO[standing.state],
        charge_id=standing.charge_id or "",
        amount=money_to_proto(standing.amount) if standing.amount else None,
        late=standing.late,
        replaced_by=standing.replaced_by or "",
        reason=standing.reason or "",
    )


def used_to_proto(used: Used) -> pb.RecordUsageResponse:
    """The answer to RecordUsage."""
    bill = used.moved.bill if used.moved else None
    return pb.RecordUsageResponse(
        standing=standing_to_proto(used.standing),
        balance_after=money_to_proto(used.moved.balance_after) if used.moved else None,
        bill=bill_to_proto(bill) if bill else None,
    )
