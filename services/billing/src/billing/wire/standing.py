"""How accounts stand, and the rounds of timed work about bills, on the wire."""

from datetime import datetime

from chassis.errors import InvalidArgument
from chassis.times import from_proto, to_proto
from google.protobuf.timestamp_pb2 import Timestamp
from touchstone.billing.v1 import bill_pb2, billing_pb2
from touchstone.billing.v1 import bill_service_pb2 as pb

from billing.domain.movement import OCCURRED_BEFORE
from billing.use_cases.standing import AccountStanding, ChangeState
from billing.wire.kind import CAUSE_TO_PROTO, STATE_TO_PROTO
from billing.wire.value import account_id_from_proto, minor_to_proto, text_from_proto


def change_state_from_proto(request: pb.SuspendAccountRequest | pb.ResumeAccountRequest) -> ChangeState:
    """The wish of an operator."""
    return ChangeState(
        account_id=account_id_from_proto(request.account_id),
        reason=text_from_proto("reason", request.reason, required=True),
        occurred_at=from_proto(request.occurred_at, "occurred_at"),
    )


def as_of_from_proto(as_of: Timestamp) -> datetime:
    """The instant of a round; refuses the end of the calendar."""
    instant = from_proto(as_of, "as_of")
    if instant >= OCCURRED_BEFORE:
        raise InvalidArgument("as_of", f"must be before the year {OCCURRED_BEFORE.year}")
    return instant


def standing_to_proto(standing: AccountStanding) -> bill_pb2.AccountStanding:
    """How an account stands."""
    account, crossing = standing.account, standing.account.crossing
    currency = account.currency
    shown = bill_pb2.AccountStanding(
        account_id=account.account_id,
        state=STATE_TO_PROTO[account.service.state],
        revision=account.service.revision,
        plan_revision=standing.plan_revision,
        below_threshold=account.below_threshold,
        cause=CAUSE_TO_PROTO[crossing.cause] if crossing else billing_pb2.CROSSING_CAUSE_UNSPECIFIED,
        asked=minor_to_proto(standing.asked_minor, currency),
        on_its_way=minor_to_proto(standing.on_its_way_minor, currency),
    )
    if standing.threshold_minor is not None:
        shown.threshold.CopyFrom(minor_to_proto(standing.threshold_minor, currency))
    if crossing is not None:
        shown.crossed_threshold.CopyFrom(minor_to_proto(crossing.threshold_minor, currency))
        for field, instant in (("crossed_at", crossing.crossed_at), ("next_bill_at", crossing.bill_at)):
            if instant is not None:
                getattr(shown, field).CopyFrom(to_proto(instant))
    if account.overdue_at is not None:
        shown.next_overdue_at.CopyFrom(to_proto(account.overdue_at))
    return shown
