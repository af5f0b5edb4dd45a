"""Bad input of BenefitService over real gRPC: each refusal names its field or its reason, and nothing is stored."""

from typing import Any

from chassis.testing.serving import Serving
from chassis.times import to_proto
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from touchstone.member.v1 import benefit_pb2
from touchstone.member.v1 import benefit_service_pb2 as pb

from services.member.tests.calls import Stubs, become_member, methods_of, refused, refuses_bad_input
from services.member.tests.factories import day
from services.member.tests.test_benefits_api import grant_request, use_request

OUT_OF_RANGE = Timestamp(seconds=-1)
LARGEST = 2**31 - 1
RESERVE = pb.ReserveBenefitRequest


def end(kind: Any, **changes: Any) -> Any:
    """A request that ends a reservation."""
    values = {"request_id": "r", "customer_id": "c-1", "use_id": "u-1", "occurred_at": to_proto(day(1))}
    return kind(**values | changes)


def revoke(**changes: Any) -> pb.RevokeBenefitRequest:
    """A request that takes a grant back."""
    values: dict[str, Any] = {"request_id": "r", "customer_id": "c-1", "grant_id": "g", "reason": "x"}
    values["occurred_at"] = to_proto(day(1))
    return pb.RevokeBenefitRequest(**values | changes)


def granted(**terms: Any) -> pb.GrantBenefitRequest:
    """A request that grants a benefit with these terms."""
    return grant_request(benefit=benefit_pb2.Benefit(benefit_id="b", display_name="B", **terms))


def discount(basis_points: int, family: str = "") -> benefit_pb2.DiscountBenefit:
    """A discount."""
    return benefit_pb2.DiscountBenefit(product_family=family, basis_points=basis_points)


def quota(uses: int, period: Any = benefit_pb2.BENEFIT_PERIOD_DAY) -> benefit_pb2.QuotaBenefit:
    """A quota."""
    return benefit_pb2.QuotaBenefit(period=period, uses=uses)


BAD: list[tuple[str, Message, list[str]]] = [
    ("GetEntitlements", pb.GetEntitlementsRequest(), ["customer_id"]),
    ("GetEntitlements", pb.GetEntitlementsRequest(customer_id="'; DROP TABLE x"), ["customer_id"]),
    ("GetEntitlements", pb.GetEntitlementsRequest(customer_id="c-1", person_id="p 1"), ["person_id"]),
    ("GetEntitlements", pb.GetEntitlementsRequest(customer_id="c-1", as_of=OUT_OF_RANGE), ["as_of"]),
    (
        "BatchGetEntitlements",
        pb.BatchGetEntitlementsRequest(requests=[pb.GetEntitlementsRequest(customer_id="c-1")] * 1001),
        ["requests"],
    ),
    ("ReserveBenefit", use_request(RESERVE, request_id=""), ["request_id"]),
    ("ReserveBenefit", use_request(RESERVE, request_id="r" * 300), ["request_id"]),
    ("ReserveBenefit", use_request(RESERVE, customer_id="c" * 65), ["customer_id"]),
    ("ReserveBenefit", use_request(RESERVE, person_id="."), ["person_id"]),
    ("ReserveBenefit", use_request(RESERVE, benefit_id=""), ["benefit_id"]),
    ("ReserveBenefit", use_request(RESERVE, source_id="a/b"), ["source_id"]),
    ("ReserveBenefit", use_request(RESERVE, occurred_at=None), ["occurred_at"]),
    ("ReserveBenefit", use_request(RESERVE, expires_at=None), ["expires_at"]),
    ("ReserveBenefit", use_request(RESERVE, expires_at=to_proto(day(1))), ["expires_at"]),
    ("ReserveBenefit", use_request(RESERVE, expires_at=to_proto(day(999))), ["expires_at"]),
    ("ReserveBenefit", use_request(RESERVE, note="x" * 201), ["note"]),
    ("ConfirmBenefit", end(pb.ConfirmBenefitRequest, customer_id=""), ["customer_id"]),
    ("ConfirmBenefit", end(pb.ConfirmBenefitRequest, use_id="a b"), ["use_id"]),
    ("ConfirmBenefit", end(pb.ConfirmBenefitRequest, occurred_at=OUT_OF_RANGE), ["occurred_at"]),
    ("ReleaseBenefit", end(pb.ReleaseBenefitRequest, use_id=""), ["use_id"]),
    ("ReleaseBenefit", end(pb.ReleaseBenefitRequest, request_id="a b"), ["request_id"]),
    ("UseBenefit", use_request(benefit_id="ｌounge"), ["benefit_id"]),
    ("UseBenefit", use_request(occurred_at=OUT_OF_RANGE), ["occurred_at"]),
    ("UseBenefit", use_request(note="a\x00b"), ["note"]),
    ("UseBenefit", use_request(note="a\r\nb"), ["note"]),
    ("ListBenefitUses", pb.ListBenefitUsesRequest(customer_id="-"), ["customer_id"]),
    ("ListBenefitUses", pb.ListBenefitUsesRequest(customer_id="c-1", benefit_id=" "), ["benefit_id"]),
    ("ListBenefitUses", pb.ListBenefitUsesRequest(customer_id="c-1", page_size=501), ["page_size"]),
    ("ListBenefitUses", pb.ListBenefitUsesRequest(customer_id="c-1", page_token="bm90YW51bWJlcg"), ["page_token"]),
    ("GrantBenefit", grant_request("c 1"), ["customer_id"]),
    ("GrantBenefit", grant_request(benefit=None), ["benefit"]),
    ("GrantBenefit", grant_request(person_id="p 1"), ["person_id"]),
    ("GrantBenefit", grant_request(reason=" "), ["reason"]),
    ("GrantBenefit", grant_request(starts_at=None), ["starts_at"]),
    ("GrantBenefit", grant_request(ends_at=OUT_OF_RANGE), ["ends_at"]),
    ("GrantBenefit", grant_request(starts_at=to_proto(day(365))), ["ends_at"]),
    ("GrantBenefit", granted(), ["benefit.terms"]),
    ("GrantBenefit", granted(discount=discount(0)), ["benefit.discount.basis_points"]),
    ("GrantBenefit", granted(discount=discount(10_001)), ["benefit.discount.basis_points"]),
    ("GrantBenefit", granted(discount=discount(1, "a b")), ["benefit.discount.product_family"]),
    ("GrantBenefit", granted(quota=quota(-1)), ["benefit.quota.uses"]),
    ("GrantBenefit", granted(quota=quota(LARGEST)), ["benefit.quota.uses"]),
    ("GrantBenefit", granted(quota=quota(1, 0)), ["benefit.quota.period"]),
    ("GrantBenefit", granted(quota=quota(1, 77)), ["benefit.quota.period"]),
    ("GrantBenefit", granted(perk=benefit_pb2.PerkBenefit(text="a\x00")), ["benefit.perk.text"]),
    (
        "GrantBenefit",
        granted(earn_rate=benefit_pb2.EarnRateBenefit(multiplier_percent=100)),
        ["benefit.earn_rate.multiplier_percent"],
    ),
    (
        "GrantBenefit",
        granted(service_priority=benefit_pb2.PriorityBenefit(level=LARGEST)),
        ["benefit.service_priority.level"],
    ),
    ("RevokeBenefit", revoke(grant_id="{}"), ["grant_id"]),
    ("RevokeBenefit", revoke(reason=""), ["reason"]),
    ("RevokeBenefit", revoke(occurred_at=None), ["occurred_at"]),
    ("ListBenefitGrants", pb.ListBenefitGrantsRequest(customer_id=""), ["customer_id"]),
    ("ListBenefitGrants", pb.ListBenefitGrantsRequest(customer_id="c-1", page_token="§"), ["page_token"]),
    ("ExpireBenefitReservations", pb.ExpireBenefitReservationsRequest(request_id="r"), ["as_of"]),
    ("ExpireBenefitReservations", pb.ExpireBenefitReservationsRequest(as_of=to_proto(day(1))), ["request_id"]),
    ("RefreshEntitlements", pb.RefreshEntitlementsRequest(request_id="r", program_id="a b"), ["program_id"]),
    ("RefreshEntitlements", pb.RefreshEntitlementsRequest(), ["request_id"]),
]

UNKNOWN: list[tuple[str, Message, str]] = [
    ("GetEntitlements", pb.GetEntitlementsRequest(customer_id="nobody"), "ENTITLEMENTS_NOT_FOUND"),
    ("UseBenefit", use_request(), "BENEFIT_NOT_HELD"),
    ("UseBenefit", use_request(customer_id="nobody"), "BENEFIT_NOT_HELD"),
    ("ReserveBenefit", use_request(RESERVE, source_id="elsewhere"), "BENEFIT_NOT_HELD"),
    ("ConfirmBenefit", end(pb.ConfirmBenefitRequest), "BENEFIT_USE_NOT_FOUND"),
    ("ReleaseBenefit", end(pb.ReleaseBenefitRequest, customer_id="nobody"), "BENEFIT_USE_NOT_FOUND"),
    ("GrantBenefit", grant_request("nobody"), "CUSTOMER_NOT_FOUND"),
    ("GrantBenefit", grant_request(person_id="p-9"), "PERSON_NOT_FOUND"),
    ("RevokeBenefit", revoke(), "GRANT_NOT_FOUND"),
    ("RefreshEntitlements", pb.RefreshEntitlementsRequest(request_id="r", program_id="none"), "PROGRAM_NOT_FOUND"),
]


async def test_bad_input_names_its_field_and_stores_nothing(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    await refuses_bad_input(served, boss, BAD, UNKNOWN)
    assert methods_of(pb) == {name for name, _, _ in BAD}


async def test_a_request_id_stands_for_one_body(boss: Stubs) -> None:
    await become_member(boss)
    granted = await boss.benefits.GrantBenefit(grant_request(request_id="grant"))
    assert await boss.benefits.GrantBenefit(grant_request(request_id="grant")) == granted
    other = grant_request(request_id="grant", reason="another")
    assert (await refused(boss, "GrantBenefit", other)).reason == "REQUEST_ID_REUSED"
    used = await boss.benefits.UseBenefit(use_request(request_id="use"))
    assert await boss.benefits.UseBenefit(use_request(request_id="use")) == used
    assert (await refused(boss, "UseBenefit", use_request(request_id="use", note="n"))).reason == "REQUEST_ID_REUSED"
