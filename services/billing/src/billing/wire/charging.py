"""Kept charges, refunds and reservations on the wire."""

from collections.abc import Sequence

from chassis.errors import InvalidArgument
from chassis.ids import check_id
from chassis.times import from_proto, to_proto
from touchstone.billing.v1 import billing_events_pb2, charging_pb2
from touchstone.billing.v1 import charging_service_pb2 as pb

from billing.domain.charge import ChargeCategory, ChargeRecord, PaidShare, RefundCharge
from billing.domain.ids import ChargeId
from billing.domain.reckoning import Reckoned
from billing.domain.recurring import Run
from billing.domain.reservation import Commit, Release, Renew, Reservation, ReservationId, ReservationState, Reserve
from billing.use_cases.refund_charge import Refunded
from billing.use_cases.reservation import Ended, Renewed, Reserved
from billing.wire.bill import bill_to_proto
from billing.wire.reckoning import reckoning_to_proto
from billing.wire.value import account_id_from_proto, money_from_proto, money_to_proto, text_from_proto

_CATEGORY_TO_PROTO = {
    ChargeCategory.RATED: charging_pb2.CHARGE_CATEGORY_RATED,
    ChargeCategory.ORDER: charging_pb2.CHARGE_CATEGORY_ORDER,
    ChargeCategory.RECURRING: charging_pb2.CHARGE_CATEGORY_RECURRING,
    ChargeCategory.USAGE: charging_pb2.CHARGE_CATEGORY_USAGE,
    ChargeCategory.RESERVATION: charging_pb2.CHARGE_CATEGORY_RESERVATION,
}
_CATEGORY_ASKED = {number: category for category, number in _CATEGORY_TO_PROTO.items()}
_STATE_TO_PROTO = {
    ReservationState.OPEN: charging_pb2.RESERVATION_STATE_OPEN,
    ReservationState.COMMITTED: charging_pb2.RESERVATION_STATE_COMMITTED,
    ReservationState.RELEASED: charging_pb2.RESERVATION_STATE_RELEASED,
    ReservationState.EXPIRED: charging_pb2.RESERVATION_STATE_EXPIRED,
}
_STATE_ASKED = {number: state for state, number in _STATE_TO_PROTO.items()}


def charge_id_from_proto(value: str) -> ChargeId:
    """Refuses a malformed identifier of a charge."""
    return ChargeId(check_id("charge_id", value))


def category_from_proto(category: charging_pb2.ChargeCategory.ValueType) -> ChargeCategory | None:
    """The sort of charges asked for, None for all; refuses one it does not know."""
    if category and category not in _CATEGORY_ASKED:
        raise InvalidArgument("category", "is not a sort of charge")
    return _CATEGORY_ASKED.get(category)


def charge_to_proto(
    charge: ChargeRecord, *, reckoned: Reckoned | None = None, shares: Sequence[PaidShare] = ()
) -> charging_pb2.ChargeRecord:
    """A charge with what became of it; in a list without its reckoning and who paid."""
    return charging_pb2.ChargeRecord(
        charge_id=charge.charge_id,
        account_id=charge.account_id,
        customer_id=charge.customer_id,
        amount=money_to_proto(charge.amount),
        gift_amount=money_to_proto(charge.gift),
        refunded=money_to_proto(charge.refunded),
        description=charge.description,
        category=_CATEGORY_TO_PROTO[charge.category],
        transaction_id=charge.transaction_id or "",
        reckoning=reckoning_to_proto(reckoned) if reckoned else None,
        paid_by=map(share_to_proto, shares),
        late=charge.late,
        occurred_at=to_proto(charge.occurred_at),
        recorded_at=to_proto(charge.recorded_at),
    )


def share_to_proto(share: PaidShare) -> billing_events_pb2.PaidShare:
    """What one account paid of a charge."""
    return billing_events_pb2.PaidShare(
        account_id=share.account_id,
        amount=money_to_proto(share.amount),
        balance_after=money_to_proto(share.balance_after),
        account_version=share.account_version,
    )


def refund_from_proto(request: pb.RefundChargeRequest) -> RefundCharge:
    """The wish to turn a charge back."""
    return RefundCharge(
        charge_id=charge_id_from_proto(request.charge_id),
        amount=money_from_proto(request.amount) if request.HasField("amount") else None,
        reason=text_from_proto("reason", request.reason, required=True),
        occurred_at=from_proto(request.occurred_at, "occurred_at"),
    )


def refunded_to_proto(refunded: Refunded) -> pb.RefundChargeResponse:
    """The answer to RefundCharge."""
    moved = refunded.moved
    return pb.RefundChargeResponse(
        refund_id=refunded.refund.refund_id,
        transaction_id=moved.movement.transaction_id,
        amount=money_to_proto(refunded.refund.amount),
        balance_after=money_to_proto(moved.balance_after),
        credit_note=bill_to_proto(moved.bill) if moved.bill else None,
    )


def reservation_id_from_proto(value: str, field: str = "reservation_id") -> ReservationId:
    """Refuses a malformed identifier of a reservation."""
    return ReservationId(check_id(field, value))


def state_from_proto(state: charging_pb2.ReservationState.ValueType) -> ReservationState | None:
    """The state asked for, None for all; refuses one it does not know."""
    if state and state not in _STATE_ASKED:
        raise InvalidArgument("state", "is not a state of a reservation")
    return _STATE_ASKED.get(state)


def reserve_from_proto(request: pb.ReserveRequest) -> Reserve:
    """The wish to set an amount aside."""
    return Reserve(
        reservation_id=reservation_id_from_proto(request.reservation_id),
        account_id=account_id_from_proto(request.account_id),
        amount=money_from_proto(request.amount),
        minimum=money_from_proto(request.minimum) if request.HasField("minimum") else None,
        expires_at=from_proto(request.expires_at, "expires_at"),
        description=text_from_proto("description", request.description),
        occurred_at=from_proto(request.occurred_at, "occurred_at"),
    )


def commit_from_proto(request: pb.CommitReservationRequest | pb.UpdateReservationRequest) -> Commit:
    """The wish to take what was used."""
    return Commit(
        reservation_id=reservation_id_from_proto(request.reservation_id),
        used=money_from_proto(request.used),
        occurred_at=from_proto(request.occurred_at, "occurred_at"),
    )


def release_from_proto(request: pb.ReleaseReservationRequest) -> Release:
    """The wish to free what was set aside."""
    return Release(
        reservation_id=reservation_id_from_proto(request.reservation_id),
        occurred_at=from_proto(request.occurred_at, "occurred_at"),
    )


def renew_from_proto(request: pb.UpdateReservationRequest) -> Renew:
    """The wish to take what was used and to set the next amount aside."""
    return Renew(
        commit=commit_from_proto(request),
        next_reservation_id=reservation_id_from_proto(request.next_reservation_id, "next_reservation_id"),
        next_amount=money_from_proto(request.next_amount),
        expires_at=from_proto(request.expires_at, "expires_at"),
    )


def reservation_to_proto(reservation: Reservation) -> charging_pb2.Reservation:
    """A reservation and where it stands."""
    return charging_pb2.Reservation(
        reservation_id=reservation.reservation_id,
        account_id=reservation.account_id,
        customer_id=reservation.customer_id,
        asked=money_to_proto(reservation.asked),
        granted=money_to_proto(reservation.granted),
        final=reservation.final,
        state=_STATE_TO_PROTO[reservation.state],
        committed=money_to_proto(reservation.committed),
        charge_id=reservation.charge_id or "",
        expires_at=to_proto(reservation.expires_at),
        description=reservation.description,
        overrun=money_to_proto(reservation.overrun),
    )


def reserved_to_proto(reserved: Reserved) -> pb.ReserveResponse:
    """The answer to Reserve."""
    return pb.ReserveResponse(
        reservation=reservation_to_proto(reserved.reservation), spendable_after=money_to_proto(reserved.spendable)
    )


def committed_to_proto(ended: Ended) -> pb.CommitReservationResponse:
    """The answer to CommitReservation."""
    bill = ended.bill
    return pb.CommitReservationResponse(
        reservation=reservation_to_proto(ended.reservation),
        balance_after=money_to_proto(ended.last.balance_after),
        account_version=ended.last.account_version,
        overrun=money_to_proto(ended.reservation.overrun),
        bill=bill_to_proto(bill) if bill else None,
    )


def renewed_to_proto(renewed: Renewed) -> pb.UpdateReservationResponse:
    """The answer to UpdateReservation."""
    ended, bill = renewed.ended, renewed.ended.bill
    return pb.UpdateReservationResponse(
        committed=reservation_to_proto(ended.reservation),
        next=reservation_to_proto(renewed.next) if renewed.next else None,
        overrun=money_to_proto(ended.reservation.overrun),
        bill=bill_to_proto(bill) if bill else None,
    )


def released_to_proto(reservation: Reservation) -> pb.ReleaseReservationResponse:
    """The answer to ReleaseReservation."""
    return pb.ReleaseReservationResponse(reservation=reservation_to_proto(reservation))


def run_to_proto(run: Run) -> pb.RunRecurringResponse:
    """What a round of the recurring run did."""
    return pb.RunRecurringResponse(charged=run.charged, refused=run.refused, ended=run.ended, rested=run.rested)
