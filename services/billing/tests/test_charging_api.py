"""Charges, refunds and reservations over real gRPC: what callers get, who may call, and what bad input leaves."""

from datetime import timedelta
from typing import Any

import pytest
from chassis.rpc.errors import from_status
from chassis.testing.calls import methods_of, refuses_bad_input
from chassis.testing.serving import Serving
from chassis.times import to_proto
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from touchstone.billing.v1 import account_events_pb2, billing_events_pb2, charging_pb2, charging_service_pb2_grpc
from touchstone.billing.v1 import charging_service_pb2 as pb
from touchstone.common.v1.common_pb2 import Money

from services.billing.tests.calls import AT, Calls, boss, charged, cny, member, opened, put_plan, recharged, refused
from services.billing.tests.factories import ACCOUNT, CUSTOMER, OCCURRED_AT
from services.billing.tests.test_api import told

END = to_proto(OCCURRED_AT + timedelta(hours=1))
NOT_IDS = ["", "-x", "a b", "x" * 65, "ключ", "a\x00b"]
NOT_INSTANTS = [Timestamp(), Timestamp(seconds=-1), Timestamp(seconds=253402300800), Timestamp(seconds=253402300799)]
NOT_AMOUNTS = [-1, -(2**63), 10**12 + 1, 2**63 - 1]
USD = Money(minor_units=1, currency="USD")

Bad = tuple[str, Message, list[str]]


def refunding(request_id: str = "refund-1", **changed: Any) -> pb.RefundChargeRequest:
    """Turns a charge back."""
    values: dict[str, Any] = {"charge_id": "missing", "reason": "wrong price", "occurred_at": AT}
    return pb.RefundChargeRequest(request_id=request_id, **values | changed)


def reserving(request_id: str = "reserve-1", **changed: Any) -> pb.ReserveRequest:
    """Sets ten yuan aside."""
    values: dict[str, Any] = {"reservation_id": "r-1", "account_id": ACCOUNT, "amount": cny(10_00), "expires_at": END}
    return pb.ReserveRequest(request_id=request_id, **values | {"occurred_at": AT} | changed)


def committing(request_id: str = "commit-1", **changed: Any) -> pb.CommitReservationRequest:
    """Takes eight yuan."""
    values: dict[str, Any] = {"reservation_id": "r-1", "used": cny(8_00), "occurred_at": AT}
    return pb.CommitReservationRequest(request_id=request_id, **values | changed)


def updating(request_id: str = "update-1", **changed: Any) -> pb.UpdateReservationRequest:
    """Takes eight yuan and sets ten aside."""
    values: dict[str, Any] = {"reservation_id": "r-1", "used": cny(8_00), "occurred_at": AT, "expires_at": END}
    values |= {"next_reservation_id": "r-2", "next_amount": cny(10_00)}
    return pb.UpdateReservationRequest(request_id=request_id, **values | changed)


def releasing(request_id: str = "release-1", **changed: Any) -> pb.ReleaseReservationRequest:
    """Frees it."""
    values: dict[str, Any] = {"reservation_id": "r-1", "occurred_at": AT}
    return pb.ReleaseReservationRequest(request_id=request_id, **values | changed)


@pytest.fixture
async def calls(served: Serving) -> Calls:
    """The basic plan, and one account on it with 100 yuan."""
    made = boss(served)
    await made.bills.PutBillPlan(put_plan())
    await made.accounts.OpenAccount(opened())
    await made.accounts.Recharge(recharged())
    return made


async def test_a_charge_explains_itself(calls: Calls) -> None:
    charge = await calls.charging.Charge(charged(external_id="cdr-7"))
    found = (await calls.charging.GetCharge(pb.GetChargeRequest(charge_id=charge.charge_id))).charge
    assert (found.account_id, found.customer_id, found.amount) == (ACCOUNT, CUSTOMER, cny(10_00))
    assert (found.category, found.refunded) == (charging_pb2.CHARGE_CATEGORY_RATED, cny(0))
    assert [(line.description, line.amount) for line in found.reckoning.lines] == [("TV", cny(10_00))]
    assert (found.reckoning.total, found.transaction_id) == (cny(10_00), charge.transaction_id)


async def test_charges_are_listed_newest_first(calls: Calls) -> None:
    requests = [charged(f"c-{number}", description=str(number)) for number in range(5)]
    await calls.charging.BatchCharge(pb.BatchChargeRequest(requests=requests))
    await calls.charging.Reserve(reserving())
    await calls.charging.CommitReservation(committing())
    asked = pb.ListChargesRequest(account_id=ACCOUNT, page_size=3, category=charging_pb2.CHARGE_CATEGORY_RATED)
    first = await calls.charging.ListCharges(asked)
    asked.page_token = first.next_page_token
    rest = await calls.charging.ListCharges(asked)
    assert [one.description for page in (first, rest) for one in page.charges] == ["4", "3", "2", "1", "0"]
    assert not rest.next_page_token
    everything = await calls.charging.ListCharges(pb.ListChargesRequest(account_id=ACCOUNT))
    assert everything.charges[0].category == charging_pb2.CHARGE_CATEGORY_RESERVATION


async def test_a_refund_is_told_with_what_it_takes_to_take_points_back(served: Serving, calls: Calls) -> None:
    charge = await calls.charging.Charge(charged())
    requests = [refunding(f"refund-{minor}", charge_id=charge.charge_id, amount=cny(minor)) for minor in (4_00, 6_00)]
    requests.append(refunding("refund-3", charge_id=charge.charge_id))
    reply = await calls.charging.BatchRefundCharges(pb.BatchRefundChargesRequest(requests=requests))
    again = await calls.charging.RefundCharge(requests[0])
    assert again == reply.results[0].response
    assert [one.response.balance_after for one in reply.results[:2]] == [cny(94_00), cny(100_00)]
    assert from_status(reply.results[2].error).reason == "CHARGE_FULLY_REFUNDED"
    facts = await told(served, account_events_pb2.ChargeRefunded)
    assert [(fact.amount, fact.refunded_before) for fact in facts] == [(cny(4_00), cny(0)), (cny(6_00), cny(4_00))]
    assert {fact.charge_amount.minor_units for fact in facts} == {10_00}


async def test_a_reservation_is_committed(served: Serving, calls: Calls) -> None:
    reserved = await calls.charging.Reserve(reserving())
    assert (reserved.reservation.granted, reserved.spendable_after) == (cny(10_00), cny(90_00))
    assert await calls.charging.Reserve(reserving()) == reserved
    committed = await calls.charging.CommitReservation(committing())
    found = (await calls.charging.GetReservation(pb.GetReservationRequest(reservation_id="r-1"))).reservation
    assert found == committed.reservation
    assert (found.state, found.committed) == (charging_pb2.RESERVATION_STATE_COMMITTED, cny(8_00))
    assert (committed.balance_after, committed.overrun) == (cny(92_00), cny(0))
    (fact,) = await told(served, billing_events_pb2.AccountCharged)
    assert (fact.charge_id, fact.amount) == (found.charge_id, cny(8_00))


async def test_reservations_are_renewed_released_and_listed(calls: Calls) -> None:
    batch = [reserving(), reserving("reserve-2", reservation_id="r-9", amount=cny(95_00))]
    reserved = await calls.charging.BatchReserve(pb.BatchReserveRequest(requests=batch))
    assert [one.response.reservation.final for one in reserved.results] == [False, True]
    await calls.charging.ReleaseReservation(releasing(reservation_id="r-9"))
    updated = await calls.charging.UpdateReservation(updating())
    assert (updated.committed.committed, updated.next.granted) == (cny(8_00), cny(10_00))
    done = await calls.charging.BatchCommitReservations(
        pb.BatchCommitReservationsRequest(requests=[committing("c", reservation_id="r-2"), committing("d")])
    )
    assert [one.WhichOneof("result") for one in done.results] == ["response", "error"]
    first = await calls.charging.ListReservations(pb.ListReservationsRequest(account_id=ACCOUNT, page_size=2))
    rest = await calls.charging.ListReservations(
        pb.ListReservationsRequest(account_id=ACCOUNT, page_token=first.next_page_token)
    )
    listed = [*first.reservations, *rest.reservations]
    assert [one.reservation_id for one in listed] == ["r-2", "r-9", "r-1"]
    released = pb.ListReservationsRequest(account_id=ACCOUNT, state=charging_pb2.RESERVATION_STATE_RELEASED)
    assert [one.reservation_id for one in (await calls.charging.ListReservations(released)).reservations] == ["r-9"]


async def test_a_member_looks_at_its_own_only(served: Serving, calls: Calls) -> None:
    charge = await calls.charging.Charge(charged())
    await calls.charging.Reserve(reserving())
    me, other = member(served), member(served, "cus-2")
    asked = {"charge_id": charge.charge_id}
    assert (await me.charging.GetCharge(pb.GetChargeRequest(customer_id=CUSTOMER, **asked))).charge.amount == cny(10_00)
    foreign = pb.GetChargeRequest(customer_id="cus-2", **asked)
    assert (await refused(other.charging.GetCharge, foreign)).reason == "CHARGE_NOT_FOUND"
    reservation = pb.GetReservationRequest(reservation_id="r-1", customer_id="cus-2")
    assert (await refused(other.charging.GetReservation, reservation)).reason == "RESERVATION_NOT_FOUND"
    for name, request in (
        ("ListCharges", pb.ListChargesRequest(account_id=ACCOUNT, customer_id="cus-2")),
        ("ListReservations", pb.ListReservationsRequest(account_id=ACCOUNT, customer_id="cus-2")),
    ):
        assert (await refused(other.method(name), request)).reason == "ACCOUNT_NOT_FOUND"


async def test_every_call_needs_its_scope(served: Serving) -> None:
    stub = charging_service_pb2_grpc.ChargingServiceStub(served.channel("billing.write", subject="boss"))
    (service,) = pb.DESCRIPTOR.services_by_name.values()
    for method in service.methods:
        request = getattr(pb, method.input_type.name)()
        assert (await refused(getattr(stub, method.name), request)).reason == "SCOPE_MISSING", method.name


def each(method: str, build: Any, field: str, values: list[Any]) -> list[Bad]:
    """The request with the field set to each value, which the refusal is to name."""
    return [(method, build(**{field: value}), [field]) for value in values]


def money(method: str, build: Any, field: str, *, zero: bool) -> list[Bad]:
    """Amounts that cannot be."""
    amounts = [*NOT_AMOUNTS, *([] if zero else [0])]
    bad: list[Bad] = [(method, build(**{field: cny(minor)}), [f"{field}.minor_units"]) for minor in amounts]
    return [*bad, (method, build(**{field: Money(minor_units=1, currency="yuan")}), [f"{field}.currency"])]


def pages(method: str, **asked: Any) -> list[Bad]:
    """Requests for pages that cannot be, and for what is not in any list."""
    request = getattr(pb, f"{method}Request")
    return [
        *((method, request(**asked | {"account_id": bad}), ["account_id"]) for bad in NOT_IDS),
        (method, request(**asked, customer_id="a b"), ["customer_id"]),
        (method, request(**asked, page_size=-1), ["page_size"]),
        (method, request(**asked, page_token="!!!!"), ["page_token"]),
    ]


BAD: list[Bad] = [
    *each("Charge", charged, "external_id", NOT_IDS[1:]),
    *((name, pb.GetChargeRequest(charge_id=bad), ["charge_id"]) for name in ("GetCharge",) for bad in NOT_IDS),
    ("GetCharge", pb.GetChargeRequest(charge_id="c", customer_id="a b"), ["customer_id"]),
    *pages("ListCharges", account_id=ACCOUNT),
    ("ListCharges", pb.ListChargesRequest(account_id=ACCOUNT, category=9), ["category"]),  # type: ignore[arg-type]
    *each("RefundCharge", refunding, "charge_id", NOT_IDS),
    *each("RefundCharge", refunding, "reason", ["", "x" * 501, "a\x00b"]),
    *each("RefundCharge", refunding, "occurred_at", NOT_INSTANTS),
    *each("RefundCharge", refunding, "request_id", ["", "with space", "x" * 129]),
    *money("RefundCharge", refunding, "amount", zero=False),
    ("BatchRefundCharges", pb.BatchRefundChargesRequest(requests=[refunding()] * 1001), ["requests"]),
    *each("Reserve", reserving, "reservation_id", NOT_IDS),
    *each("Reserve", reserving, "account_id", NOT_IDS),
    *each("Reserve", reserving, "description", ["x" * 501, "a\x00b"]),
    *each("Reserve", reserving, "request_id", ["", "with space", "x" * 129]),
    *each("Reserve", reserving, "expires_at", [Timestamp(), AT, to_proto(OCCURRED_AT + timedelta(days=1, seconds=1))]),
    *each("Reserve", reserving, "occurred_at", NOT_INSTANTS),
    *money("Reserve", reserving, "amount", zero=False),
    *money("Reserve", reserving, "minimum", zero=False),
    ("Reserve", reserving(minimum=cny(10_01)), ["minimum.minor_units"]),
    ("Reserve", reserving(minimum=USD), ["minimum.currency"]),
    ("Reserve", reserving(amount=USD), ["amount.currency"]),
    ("BatchReserve", pb.BatchReserveRequest(requests=[reserving()] * 1001), ["requests"]),
    *each("CommitReservation", committing, "reservation_id", NOT_IDS),
    *each("CommitReservation", committing, "occurred_at", NOT_INSTANTS),
    *each("CommitReservation", committing, "request_id", ["", "with space", "x" * 129]),
    *money("CommitReservation", committing, "used", zero=True),
    ("CommitReservation", committing(reservation_id="r-0", used=USD), ["used.currency"]),
    ("BatchCommitReservations", pb.BatchCommitReservationsRequest(requests=[committing()] * 1001), ["requests"]),
    *each("UpdateReservation", updating, "reservation_id", NOT_IDS),
    *each("UpdateReservation", updating, "next_reservation_id", [*NOT_IDS, "r-1"]),
    *each("UpdateReservation", updating, "occurred_at", NOT_INSTANTS),
    *each("UpdateReservation", updating, "expires_at", [Timestamp(), AT]),
    *money("UpdateReservation", updating, "used", zero=True),
    *money("UpdateReservation", updating, "next_amount", zero=False),
    *each("ReleaseReservation", releasing, "reservation_id", NOT_IDS),
    *each("ReleaseReservation", releasing, "occurred_at", NOT_INSTANTS),
    *(("GetReservation", pb.GetReservationRequest(reservation_id=bad), ["reservation_id"]) for bad in NOT_IDS),
    ("GetReservation", pb.GetReservationRequest(reservation_id="r", customer_id="a b"), ["customer_id"]),
    *pages("ListReservations", account_id=ACCOUNT),
    ("ListReservations", pb.ListReservationsRequest(account_id=ACCOUNT, state=9), ["state"]),  # type: ignore[arg-type]
]
UNKNOWN: list[tuple[str, Message, str]] = [
    ("GetCharge", pb.GetChargeRequest(charge_id="missing"), "CHARGE_NOT_FOUND"),
    ("ListCharges", pb.ListChargesRequest(account_id="missing"), "ACCOUNT_NOT_FOUND"),
    ("RefundCharge", refunding(), "CHARGE_NOT_FOUND"),
    ("Reserve", reserving(account_id="missing"), "ACCOUNT_NOT_FOUND"),
    ("CommitReservation", committing(), "RESERVATION_NOT_FOUND"),
    ("UpdateReservation", updating(), "RESERVATION_NOT_FOUND"),
    ("ReleaseReservation", releasing(), "RESERVATION_NOT_FOUND"),
    ("GetReservation", pb.GetReservationRequest(reservation_id="missing"), "RESERVATION_NOT_FOUND"),
    ("ListReservations", pb.ListReservationsRequest(account_id="missing"), "ACCOUNT_NOT_FOUND"),
]
ELSEWHERE = {"BatchCharge", "RunRecurring"}


async def test_bad_input_is_refused_and_leaves_nothing(served: Serving, calls: Calls) -> None:
    await calls.charging.Reserve(reserving("reserve-0", reservation_id="r-0"))
    await refuses_bad_input(served, calls, BAD, UNKNOWN)
    assert {name for name, *_ in BAD} | ELSEWHERE == methods_of(pb)
