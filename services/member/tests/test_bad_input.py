"""Bad input of every method over real gRPC: each refusal names its field or its reason, and nothing is stored."""

from datetime import timedelta
from typing import Any

from chassis.ids import new_id
from chassis.testing.serving import Serving
from chassis.times import to_proto
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from touchstone.member.v1 import points_service_pb2 as points_pb

from services.member.tests.calls import Stubs, become_member, methods_of, refuses_bad_input
from services.member.tests.factories import (
    JANUARY,
    day,
    earn_request,
    hold_request,
)

LARGEST = 2**63 - 1


def hold_end(kind: Any, **changes: Any) -> Any:
    """A request that ends a hold."""
    values = {"request_id": new_id(), "customer_id": "c-1", "hold_id": "h-1", "occurred_at": to_proto(day(2))}
    return kind(**values | changes)


OUT_OF_RANGE = Timestamp(seconds=-1)

BAD: list[tuple[str, Message, list[str]]] = [
    ("EarnPoints", earn_request(0), ["points"]),
    ("EarnPoints", earn_request(-5), ["points"]),
    ("EarnPoints", earn_request(LARGEST), ["points"]),
    ("EarnPoints", earn_request(5, "c 1"), ["customer_id"]),
    ("EarnPoints", earn_request(5, reason=""), ["reason"]),
    ("EarnPoints", earn_request(5, reason="x" * 201), ["reason"]),
    ("EarnPoints", earn_request(5, expires_at=to_proto(day(1))), ["expires_at"]),
    ("EarnPoints", earn_request(5, occurred_at=None), ["occurred_at"]),
    ("BatchEarnPoints", points_pb.BatchEarnPointsRequest(requests=[earn_request(5)] * 1001), ["requests"]),
    ("HoldPoints", hold_request(0), ["points"]),
    ("HoldPoints", hold_request(-1), ["points"]),
    ("HoldPoints", hold_request(LARGEST), ["points"]),
    ("HoldPoints", hold_request(5, expires_at=to_proto(day(2))), ["expires_at"]),
    ("HoldPoints", hold_request(5, expires_at=None), ["expires_at"]),
    ("HoldPoints", hold_request(5, expires_at=to_proto(day(32) + timedelta(microseconds=1))), ["expires_at"]),
    ("HoldPoints", hold_request(5, request_id=""), ["request_id"]),
    ("ConfirmHold", hold_end(points_pb.ConfirmHoldRequest, hold_id="a b"), ["hold_id"]),
    ("ConfirmHold", hold_end(points_pb.ConfirmHoldRequest, points=-1), ["points"]),
    ("ConfirmHold", hold_end(points_pb.ConfirmHoldRequest, points=LARGEST), ["points"]),
    ("ConfirmHold", hold_end(points_pb.ConfirmHoldRequest, customer_id=""), ["customer_id"]),
    ("ReleaseHold", hold_end(points_pb.ReleaseHoldRequest, hold_id=""), ["hold_id"]),
    ("ReleaseHold", hold_end(points_pb.ReleaseHoldRequest, occurred_at=None), ["occurred_at"]),
    ("GetPointsBalance", points_pb.GetPointsBalanceRequest(customer_id="c-1", as_of=OUT_OF_RANGE), ["as_of"]),
    ("GetPointsBalance", points_pb.GetPointsBalanceRequest(customer_id=""), ["customer_id"]),
    ("ListPointsEntries", points_pb.ListPointsEntriesRequest(customer_id="c-1", page_size=501), ["page_size"]),
    (
        "ListPointsEntries",
        points_pb.ListPointsEntriesRequest(customer_id="c-1", page_token="bm90YW51bWJlcg"),
        ["page_token"],
    ),
    ("ExpirePoints", points_pb.ExpirePointsRequest(request_id="r"), ["as_of"]),
    ("ExpirePoints", points_pb.ExpirePointsRequest(as_of=to_proto(JANUARY)), ["request_id"]),
]

UNKNOWN: list[tuple[str, Message, str]] = [
    ("EarnPoints", earn_request(5, "nobody"), "MEMBER_NOT_FOUND"),
    ("HoldPoints", hold_request(5, "nobody"), "MEMBER_NOT_FOUND"),
    ("HoldPoints", hold_request(5, "c-1"), "INSUFFICIENT_BALANCE"),
    ("ConfirmHold", hold_end(points_pb.ConfirmHoldRequest), "HOLD_NOT_FOUND"),
    ("ReleaseHold", hold_end(points_pb.ReleaseHoldRequest), "HOLD_NOT_FOUND"),
    ("ReleaseHold", hold_end(points_pb.ReleaseHoldRequest, hold_id="shop:o-1"), "HOLD_NOT_FOUND"),
    ("GetPointsBalance", points_pb.GetPointsBalanceRequest(customer_id="nobody"), "MEMBER_NOT_FOUND"),
    ("ListPointsEntries", points_pb.ListPointsEntriesRequest(customer_id="nobody"), "MEMBER_NOT_FOUND"),
]


async def test_bad_input_names_its_field_and_stores_nothing(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    await refuses_bad_input(served, boss, BAD, UNKNOWN)
    assert {name for name, _, _ in BAD} <= methods_of(points_pb)
