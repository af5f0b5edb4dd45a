"""Bad input of every method over real gRPC: each refusal names its field or its reason, and nothing is stored."""

from typing import Any

from chassis.errors import Code
from chassis.ids import new_id
from chassis.testing.serving import Serving
from chassis.times import to_proto
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from member.store import METADATA
from touchstone.member.v1 import member_pb2
from touchstone.member.v1 import member_service_pb2 as pb

from services.member.tests.calls import Stubs, become_member, fields, refused
from services.member.tests.factories import (
    JANUARY,
    customer_message,
    day,
    earn_request,
    enrol_request,
    hold_request,
    scalar,
    upsert_request,
)

LARGEST = 2**63 - 1


def hold_end(kind: Any, **changes: Any) -> Any:
    """A request that ends a hold."""
    values = {"request_id": new_id(), "customer_id": "c-1", "hold_id": "h-1", "occurred_at": to_proto(day(2))}
    return kind(**values | changes)


def put_program_request(**changes: Any) -> pb.PutProgramRequest:
    """A request that puts a program of one tier."""
    values: dict[str, Any] = {
        "program_id": "fans",
        "display_name": "Fans",
        "tiers": [member_pb2.Tier(tier_id="first", display_name="First", earn_rate_percent=100)],
        "window_days": 365,
    }
    return pb.PutProgramRequest(request_id=new_id(), program=member_pb2.Program(**values | changes))


OUT_OF_RANGE = Timestamp(seconds=-1)
TIER = member_pb2.Tier(tier_id="first", display_name="First", points_required=-1)
NAMELESS = member_pb2.Person(person_id="p 1", display_name="Wang")
UNREACHABLE = member_pb2.Person(person_id="p-1", display_name="Wang", phone="12", email="x@y")
LINE = member_pb2.Subscriber(subscriber_id="s-1", in_service_since=to_proto(JANUARY))

BAD: list[tuple[str, Message, list[str]]] = [
    ("UpsertCustomer", upsert_request("c 1"), ["customer.customer_id"]),
    ("UpsertCustomer", upsert_request(""), ["customer.customer_id"]),
    ("UpsertCustomer", upsert_request("c" * 65), ["customer.customer_id"]),
    ("UpsertCustomer", upsert_request(kind=0), ["customer.kind"]),
    ("UpsertCustomer", upsert_request(kind=77), ["customer.kind"]),
    ("UpsertCustomer", upsert_request(display_name="a\x00b"), ["customer.display_name"]),
    ("UpsertCustomer", upsert_request(persons=[NAMELESS]), ["customer.persons[0].person_id"]),
    (
        "UpsertCustomer",
        upsert_request(persons=[UNREACHABLE]),
        ["customer.persons[0].phone", "customer.persons[0].email"],
    ),
    ("UpsertCustomer", upsert_request(subscribers=[LINE]), ["customer.subscribers[0].kind"]),
    ("UpsertCustomer", upsert_request(registered_at=OUT_OF_RANGE), ["customer.registered_at"]),
    ("UpsertCustomer", upsert_request(registered_at=None), ["customer.registered_at"]),
    ("UpsertCustomer", pb.UpsertCustomerRequest(customer=customer_message()), ["request_id"]),
    (
        "BatchUpsertCustomers",
        pb.BatchUpsertCustomersRequest(requests=[upsert_request()] * 1001),
        ["requests"],
    ),
    ("GetCustomer", pb.GetCustomerRequest(customer_id="'; DROP TABLE customers"), ["customer_id"]),
    ("ListCustomers", pb.ListCustomersRequest(page_size=-1), ["page_size"]),
    ("ListCustomers", pb.ListCustomersRequest(page_size=501), ["page_size"]),
    ("ListCustomers", pb.ListCustomersRequest(page_token="§"), ["page_token"]),
    ("GetContactAddress", pb.GetContactAddressRequest(), ["customer_id"]),
    ("PutProgram", put_program_request(program_id="a b"), ["program.program_id"]),
    ("PutProgram", put_program_request(tiers=[]), ["program.tiers"]),
    ("PutProgram", put_program_request(tiers=[TIER]), ["program.tiers[0].points_required"]),
    ("PutProgram", put_program_request(window_days=0), ["program.window_days"]),
    ("GetProgram", pb.GetProgramRequest(program_id="/"), ["program_id"]),
    ("Enrol", enrol_request("c/1"), ["customer_id"]),
    ("Enrol", enrol_request(program_id="a b"), ["program_id"]),
    ("Enrol", enrol_request(occurred_at=None), ["occurred_at"]),
    ("Enrol", enrol_request(occurred_at=OUT_OF_RANGE), ["occurred_at"]),
    ("Enrol", enrol_request(request_id="a b"), ["request_id"]),
    ("BatchEnrol", pb.BatchEnrolRequest(requests=[enrol_request()] * 1001), ["requests"]),
    ("GetMember", pb.GetMemberRequest(customer_id="-"), ["customer_id"]),
    ("GetMember", pb.GetMemberRequest(customer_id="c-1", as_of=OUT_OF_RANGE), ["as_of"]),
    ("CountMembers", pb.CountMembersRequest(program_id="a b"), ["program_id"]),
    ("EvaluateTiers", pb.EvaluateTiersRequest(request_id="r"), ["as_of"]),
    ("EvaluateTiers", pb.EvaluateTiersRequest(as_of=to_proto(JANUARY)), ["request_id"]),
    ("EarnPoints", earn_request(0), ["points"]),
    ("EarnPoints", earn_request(-5), ["points"]),
    ("EarnPoints", earn_request(LARGEST), ["points"]),
    ("EarnPoints", earn_request(5, "c 1"), ["customer_id"]),
    ("EarnPoints", earn_request(5, reason=""), ["reason"]),
    ("EarnPoints", earn_request(5, reason="x" * 201), ["reason"]),
    ("EarnPoints", earn_request(5, expires_at=to_proto(day(1))), ["expires_at"]),
    ("EarnPoints", earn_request(5, occurred_at=None), ["occurred_at"]),
    ("BatchEarnPoints", pb.BatchEarnPointsRequest(requests=[earn_request(5)] * 1001), ["requests"]),
    ("HoldPoints", hold_request(0), ["points"]),
    ("HoldPoints", hold_request(-1), ["points"]),
    ("HoldPoints", hold_request(LARGEST), ["points"]),
    ("HoldPoints", hold_request(5, expires_at=to_proto(day(2))), ["expires_at"]),
    ("HoldPoints", hold_request(5, expires_at=None), ["expires_at"]),
    ("HoldPoints", hold_request(5, request_id=""), ["request_id"]),
    ("ConfirmHold", hold_end(pb.ConfirmHoldRequest, hold_id="a b"), ["hold_id"]),
    ("ConfirmHold", hold_end(pb.ConfirmHoldRequest, points=-1), ["points"]),
    ("ConfirmHold", hold_end(pb.ConfirmHoldRequest, points=LARGEST), ["points"]),
    ("ConfirmHold", hold_end(pb.ConfirmHoldRequest, customer_id=""), ["customer_id"]),
    ("ReleaseHold", hold_end(pb.ReleaseHoldRequest, hold_id=""), ["hold_id"]),
    ("ReleaseHold", hold_end(pb.ReleaseHoldRequest, occurred_at=None), ["occurred_at"]),
    ("GetPointsBalance", pb.GetPointsBalanceRequest(customer_id="c-1", as_of=OUT_OF_RANGE), ["as_of"]),
    ("GetPointsBalance", pb.GetPointsBalanceRequest(customer_id=""), ["customer_id"]),
    ("ListPointsEntries", pb.ListPointsEntriesRequest(customer_id="c-1", page_size=501), ["page_size"]),
    ("ListPointsEntries", pb.ListPointsEntriesRequest(customer_id="c-1", page_token="bm90YW51bWJlcg"), ["page_token"]),
    ("ExpirePoints", pb.ExpirePointsRequest(request_id="r"), ["as_of"]),
    ("ExpirePoints", pb.ExpirePointsRequest(as_of=to_proto(JANUARY)), ["request_id"]),
]

UNKNOWN: list[tuple[str, Message, str]] = [
    ("GetCustomer", pb.GetCustomerRequest(customer_id="nobody"), "CUSTOMER_NOT_FOUND"),
    ("GetContactAddress", pb.GetContactAddressRequest(customer_id="nobody"), "CUSTOMER_NOT_FOUND"),
    ("GetProgram", pb.GetProgramRequest(program_id="none"), "PROGRAM_NOT_FOUND"),
    ("Enrol", enrol_request("nobody"), "CUSTOMER_NOT_FOUND"),
    ("Enrol", enrol_request("c-1", program_id="none"), "PROGRAM_NOT_FOUND"),
    ("GetMember", pb.GetMemberRequest(customer_id="nobody"), "MEMBER_NOT_FOUND"),
    ("CountMembers", pb.CountMembersRequest(program_id="none"), "PROGRAM_NOT_FOUND"),
    (
        "EvaluateTiers",
        pb.EvaluateTiersRequest(request_id="r", program_id="none", as_of=to_proto(JANUARY)),
        "PROGRAM_NOT_FOUND",
    ),
    ("EarnPoints", earn_request(5, "nobody"), "MEMBER_NOT_FOUND"),
    ("HoldPoints", hold_request(5, "nobody"), "MEMBER_NOT_FOUND"),
    ("HoldPoints", hold_request(5, "c-1"), "INSUFFICIENT_BALANCE"),
    ("ConfirmHold", hold_end(pb.ConfirmHoldRequest), "HOLD_NOT_FOUND"),
    ("ReleaseHold", hold_end(pb.ReleaseHoldRequest), "HOLD_NOT_FOUND"),
    ("GetPointsBalance", pb.GetPointsBalanceRequest(customer_id="nobody"), "MEMBER_NOT_FOUND"),
    ("ListPointsEntries", pb.ListPointsEntriesRequest(customer_id="nobody"), "MEMBER_NOT_FOUND"),
]


async def test_bad_input_names_its_field_and_stores_nothing(served: Serving, boss: Stubs) -> None:
    """Every method, one after another on one service: what is stored is counted before and after all of them."""
    await become_member(boss)
    before = await stored(served)
    for name, request, expected in BAD:
        refusal = await refused(boss, name, request)
        assert (refusal.code, fields(refusal)) == (Code.INVALID_ARGUMENT, expected), (name, request)
    for name, request, reason in UNKNOWN:
        assert (await refused(boss, name, request)).reason == reason, (name, request)
    assert await stored(served) == before
    methods = {method.name for service in pb.DESCRIPTOR.services_by_name.values() for method in service.methods}
    assert methods == {name for name, _, _ in BAD}


async def stored(served: Serving) -> list[int]:
    """Rows of every table."""
    return [await scalar(served.work, f"SELECT count(*) FROM {table}") for table in METADATA.tables]
