"""Bad input of every call about spending, over real gRPC: each refusal names its field, and nothing is stored."""

from datetime import timedelta
from typing import Any

import pytest
from chassis import clock
from chassis.errors import Code
from chassis.ids import new_id
from chassis.testing.serving import DATED_LONG_AGO, Serving
from chassis.times import to_proto
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from touchstone.common.v1.common_pb2 import Money
from touchstone.member.v1 import coupon_service_pb2, points_pb2, shop_service_pb2
from touchstone.member.v1 import points_service_pb2 as pb

from services.member.tests.calls import Stubs, become_member, methods_of, refused, refuses_bad_input
from services.member.tests.factories import JANUARY, day, earn_request, enrol_request, hold_request, scalar

LARGEST = 2**63 - 1
OUT_OF_RANGE = Timestamp(seconds=-1)
GIFT = points_pb2.POINTS_PURPOSE_GIFT
LONG = "x" * 10_000


def redeem(**changes: Any) -> pb.RedeemPointsRequest:
    values: dict[str, Any] = {"request_id": new_id(), "customer_id": "c-1", "points": 5, "purpose": GIFT}
    return pb.RedeemPointsRequest(**values | {"occurred_at": to_proto(day(2))} | changes)


def reverse(**changes: Any) -> pb.ReversePointsRequest:
    values: dict[str, Any] = {
        "request_id": new_id(),
        "customer_id": "c-1",
        "transaction_id": "t-1",
        "reason": "returned",
    }
    return pb.ReversePointsRequest(**values | {"occurred_at": to_proto(day(3))} | changes)


def transfer(**changes: Any) -> pb.TransferPointsRequest:
    values: dict[str, Any] = {"request_id": new_id(), "customer_id": "c-1", "to_person_id": "p-1", "points": 5}
    return pb.TransferPointsRequest(**values | {"occurred_at": to_proto(day(2))} | changes)


def pool(**changes: Any) -> pb.PutPoolRequest:
    return pb.PutPoolRequest(**{"request_id": new_id(), "customer_id": "c-1", "person_ids": [""]} | changes)


def rules(**changes: Any) -> pb.PutPointsRulesRequest:
    values: dict[str, Any] = {
        "applies_from": to_proto(day(400)),
        "shortfall": points_pb2.POINTS_SHORTFALL_NEGATIVE,
        "cash_off_points": 100,
        "cash_off": Money(minor_units=1, currency="CNY"),
    }
    return pb.PutPointsRulesRequest(request_id=new_id(), rules=points_pb2.PointsRules(**values | changes))


AMOUNTS = [0, -1, LARGEST, -LARGEST - 1, 10**12 + 1, 2**53 + 1]
IDS = ["", "c 1", "../c-1", "c-1\x00", "с-1", "c" * 65, "' OR 1=1", LONG]
TEXTS = ["a\x00b", "a\nb", "x" * 201, "\x1b[31m"]

BAD: list[tuple[str, Message, list[str]]] = [
    *(("RedeemPoints", redeem(points=each), ["points"]) for each in AMOUNTS),
    *(("RedeemPoints", redeem(customer_id=each), ["customer_id"]) for each in IDS),
    *(("RedeemPoints", redeem(reason=each), ["reason"]) for each in TEXTS),
    *(("RedeemPoints", redeem(reference=each), ["reference"]) for each in TEXTS),
    ("RedeemPoints", redeem(purpose=0), ["purpose"]),
    ("RedeemPoints", redeem(purpose=99), ["purpose"]),
    ("RedeemPoints", redeem(program_id="a b"), ["program_id"]),
    ("RedeemPoints", redeem(person_id="p 1"), ["person_id"]),
    ("RedeemPoints", redeem(person_id="p-1", from_pool=True), ["person_id"]),
    ("RedeemPoints", redeem(occurred_at=None), ["occurred_at"]),
    ("RedeemPoints", redeem(occurred_at=OUT_OF_RANGE), ["occurred_at"]),
    ("RedeemPoints", redeem(request_id=""), ["request_id"]),
    ("RedeemPoints", redeem(request_id="é"), ["request_id"]),
    ("RedeemPoints", redeem(request_id="x" * 129), ["request_id"]),
    ("BatchRedeemPoints", pb.BatchRedeemPointsRequest(requests=[redeem()] * 1001), ["requests"]),
    *(("ReversePoints", reverse(points=each), ["points"]) for each in AMOUNTS if each),
    *(("ReversePoints", reverse(customer_id=each), ["customer_id"]) for each in IDS),
    *(("ReversePoints", reverse(reason=each), ["reason"]) for each in ["", " ", *TEXTS]),
    *(("ReversePoints", reverse(transaction_id=each), ["transaction_id"]) for each in ["", "a b", "é", "\x00", LONG]),
    ("ReversePoints", reverse(shortfall=99), ["shortfall"]),
    ("ReversePoints", reverse(occurred_at=None), ["occurred_at"]),
    ("BatchReversePoints", pb.BatchReversePointsRequest(requests=[reverse()] * 1001), ["requests"]),
    *(("TransferPoints", transfer(points=each), ["points"]) for each in AMOUNTS),
    *(("TransferPoints", transfer(from_person_id=each), ["from_person_id"]) for each in IDS if each),
    *(("TransferPoints", transfer(reason=each), ["reason"]) for each in TEXTS),
    ("TransferPoints", transfer(to_person_id=""), ["to_person_id"]),
    ("TransferPoints", transfer(occurred_at=OUT_OF_RANGE), ["occurred_at"]),
    *(("PutPool", pool(customer_id=each), ["customer_id"]) for each in IDS),
    ("PutPool", pool(person_ids=["", "p 1"]), ["person_ids[1]"]),
    ("PutPool", pool(person_ids=["p-1", "p-1"]), ["person_ids"]),
    ("PutPool", pool(person_ids=[f"p-{number}" for number in range(101)]), ["person_ids"]),
    ("GetPool", pb.GetPoolRequest(customer_id="c 1"), ["customer_id"]),
    ("GetPool", pb.GetPoolRequest(customer_id="c-1", as_of=OUT_OF_RANGE), ["as_of"]),
    *(
        ("GetPointsStatement", pb.GetPointsStatementRequest(customer_id="c-1", month=each), ["month"])
        for each in ("", "2026", "2026-13", "2026-1", "26-01", "1969-12", "9000-01", "２０２６-01", "2026-01\n", LONG)
    ),
    ("GetPointsStatement", pb.GetPointsStatementRequest(customer_id="/", month="2026-01"), ["customer_id"]),
    ("PutPointsRules", rules(program_id="a b"), ["program_id"]),
    ("PutPointsRules", rules(applies_from=None), ["rules.applies_from"]),
    ("PutPointsRules", rules(shortfall=0), ["rules.shortfall"]),
    ("PutPointsRules", rules(most_owed_points=-1), ["rules.most_owed_points"]),
    ("PutPointsRules", rules(regrant_days=4000, cash_off_points=0), ["rules.regrant_days", "rules.cash_off_points"]),
    ("PutPointsRules", rules(cash_off=Money(minor_units=1, currency="yuan")), ["rules.cash_off.currency"]),
    ("PutPointsRules", rules(cash_off=Money(minor_units=0, currency="CNY")), ["rules.cash_off.minor_units"]),
    ("PutPointsRules", rules(cash_off=None), ["rules.cash_off"]),
    ("PutPointsRules", rules(most_transferred_points_a_day=LARGEST), ["rules.most_transferred_points_a_day"]),
    ("GetPointsRules", pb.GetPointsRulesRequest(program_id="a b"), ["program_id"]),
    (
        "ListPointsEntries",
        pb.ListPointsEntriesRequest(customer_id="c-1", classes=[points_pb2.POINTS_ENTRY_CLASS_UNSPECIFIED]),
        ["classes[0]"],
    ),
    (
        "ListPointsEntries",
        pb.ListPointsEntriesRequest(customer_id="c-1", occurred_from=to_proto(day(2)), occurred_until=to_proto(day(2))),
        ["occurred_until"],
    ),
]
UNKNOWN: list[tuple[str, Message, str]] = [
    ("RedeemPoints", redeem(customer_id="c-9"), "MEMBER_NOT_FOUND"),
    ("RedeemPoints", redeem(program_id="none"), "MEMBER_NOT_FOUND"),
    ("RedeemPoints", redeem(from_pool=True), "POOL_NOT_FOUND"),
    ("RedeemPoints", redeem(points=10**12), "INSUFFICIENT_BALANCE"),
    ("ReversePoints", reverse(), "TRANSACTION_NOT_FOUND"),
    ("TransferPoints", transfer(to_person_id="p-9"), "MEMBER_NOT_FOUND"),
    ("PutPool", pool(customer_id="c-9"), "CUSTOMER_NOT_FOUND"),
    ("PutPool", pool(person_ids=["p-9"]), "MEMBER_NOT_FOUND"),
    ("GetPool", pb.GetPoolRequest(customer_id="c-9"), "POOL_NOT_FOUND"),
    ("GetPointsStatement", pb.GetPointsStatementRequest(customer_id="c-9", month="2026-01"), "MEMBER_NOT_FOUND"),
    ("PutPointsRules", rules(program_id="none"), "PROGRAM_NOT_FOUND"),
    ("GetPointsRules", pb.GetPointsRulesRequest(program_id="none"), "PROGRAM_NOT_FOUND"),
]
ELSEWHERE = {"EarnPoints", "BatchEarnPoints", "HoldPoints", "ConfirmHold", "ReleaseHold"} | {
    "GetPointsBalance",
    "ExpirePoints",
}


async def test_bad_input_is_refused_by_name_and_leaves_nothing(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    await refuses_bad_input(served, boss, BAD, UNKNOWN)
    assert {name for name, _, _ in BAD} == methods_of(pb) - ELSEWHERE


async def test_a_request_has_one_effect_and_one_body(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    await boss.memberships.Enrol(enrol_request(person_id="p-1"))
    await boss.points.EarnPoints(earn_request(100))
    spent = await boss.points.RedeemPoints(redeem(request_id="r-1"))
    requests: list[tuple[str, Any]] = [
        ("RedeemPoints", redeem(request_id="r-2")),
        ("ReversePoints", reverse(request_id="r-2", transaction_id=spent.transaction_id, points=1)),
        ("TransferPoints", transfer(request_id="r-2")),
        ("PutPool", pool(request_id="r-2")),
        ("PutPointsRules", rules()),
    ]
    for name, request in requests:
        first = await boss.method(name)(request)
        booked = await scalar(served.work, "SELECT count(*) FROM ledger_transactions")
        assert await boss.method(name)(request) == first, name
        assert await scalar(served.work, "SELECT count(*) FROM ledger_transactions") == booked
        other = type(request)()
        other.CopyFrom(request)
        if name == "ReversePoints":
            other.reason = "another"
        else:
            (other.rules if name == "PutPointsRules" else other).program_id = "other"
        refusal = await refused(boss, name, other)
        assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "REQUEST_ID_REUSED"), name


async def test_a_batch_answers_each_item_for_itself(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    await boss.points.EarnPoints(earn_request(100))
    wanted = [redeem(points=60), redeem(points=60), redeem(points=0), redeem(points=40)]
    reply = await boss.points.BatchRedeemPoints(pb.BatchRedeemPointsRequest(requests=wanted))
    kinds = [each.WhichOneof("result") for each in reply.results]
    assert kinds == ["response", "error", "error", "response"]
    undo = [reverse(transaction_id=reply.results[0].response.transaction_id) for _ in range(2)]
    undone = await boss.points.BatchReversePoints(pb.BatchReversePointsRequest(requests=undo))
    assert [each.WhichOneof("result") for each in undone.results] == ["response", "error"]
    assert undone.results[0].response.reversals[0].balance.balance == 60


async def test_a_member_does_not_spread_transfers_over_past_days(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    await boss.points.EarnPoints(earn_request(100))
    own = Stubs.of(served.channel("points.write", "coupons.write", "engagement.write", customer_id="c-1"))
    dated: list[tuple[str, Any]] = [
        ("TransferPoints", transfer()),
        ("RedeemPoints", redeem()),
        ("HoldPoints", hold_request(5)),
        ("PlaceShopOrder", shop_service_pb2.PlaceShopOrderRequest(request_id="o", customer_id="c-1")),
        ("ReserveCoupons", coupon_service_pb2.ReserveCouponsRequest(request_id="r", customer_id="c-1")),
    ]
    for name, request in dated:
        for at in (clock.now() - timedelta(days=1), clock.now() + timedelta(days=1)):
            request.occurred_at.CopyFrom(to_proto(at))
            assert [each.field for each in (await refused(own, name, request)).violations] == ["occurred_at"], name
    spent = await own.points.RedeemPoints(redeem(occurred_at=to_proto(clock.now())))
    assert spent.payments[0].balance.available == 95


@pytest.mark.parametrize("settings", [DATED_LONG_AGO])
async def test_a_member_reaches_its_own_points_alone(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    await become_member(boss, "c-2")
    await boss.points.EarnPoints(earn_request(100))
    own = Stubs.of(served.channel("points.write", "member.read", customer_id="c-1"))
    spent = await own.points.RedeemPoints(redeem())
    assert spent.payments[0].balance.available == 95
    month = pb.GetPointsStatementRequest(customer_id="c-1", month="2026-01")
    statement = (await own.points.GetPointsStatement(month)).statement
    assert (statement.earned, statement.spent, statement.closing) == (100, 5, 95)
    assert statement.starts_at == to_proto(JANUARY)
    entries = await own.points.ListPointsEntries(
        pb.ListPointsEntriesRequest(customer_id="c-1", classes=[points_pb2.POINTS_ENTRY_CLASS_SPENT])
    )
    assert [(each.points, each.purpose) for each in entries.entries] == [(-5, "gift")]
    balance = await own.points.GetPointsBalance(pb.GetPointsBalanceRequest(customer_id="c-1"))
    assert [(each.day, each.points) for each in balance.expiry_days] == [("2028-01-02", 95)]
    foreign: list[tuple[str, Any]] = [
        ("RedeemPoints", redeem(customer_id="c-2")),
        ("TransferPoints", transfer(customer_id="c-2")),
        ("PutPool", pool(customer_id="c-2")),
        ("GetPool", pb.GetPoolRequest(customer_id="c-2")),
        ("GetPointsStatement", pb.GetPointsStatementRequest(customer_id="c-2", month="2026-01")),
        ("ReversePoints", reverse(transaction_id=spent.transaction_id)),
        ("PutPointsRules", rules()),
    ]
    for name, request in foreign:
        assert (await refused(own, name, request)).code is Code.PERMISSION_DENIED, name
