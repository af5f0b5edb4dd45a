"""Bad input of MembershipService over real gRPC: each refusal names its field or its reason, and nothing is stored."""

from typing import Any, cast

from chassis.ids import new_id
from chassis.testing.serving import Serving
from chassis.times import to_proto
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from touchstone.member.v1 import member_pb2
from touchstone.member.v1 import membership_service_pb2 as pb

from services.member.tests.calls import Stubs, become_member, fields, methods_of, refused, refuses_bad_input
from services.member.tests.factories import JANUARY, day, enrol_request

LARGEST = 2**63 - 1
OUT_OF_RANGE = Timestamp(seconds=-1)
FIRST = member_pb2.Tier(tier_id="first", display_name="First", earn_rate_percent=100)
OTHER_LIST = "bm90YW51bWJlcg"


def document(**changes: Any) -> member_pb2.Program:
    """A program of one tier."""
    values: dict[str, Any] = {
        "program_id": "fans",
        "display_name": "Fans",
        "tiers": [FIRST],
        "window_days": 365,
    }
    return member_pb2.Program(**values | changes)


def asking(requirement: member_pb2.Requirement) -> pb.DraftProgramRequest:
    """A request that drafts a program whose second tier asks for this."""
    second = member_pb2.Tier(tier_id="second", display_name="Second", rank=1, requirement=requirement)
    return pb.DraftProgramRequest(request_id=new_id(), program=document(tiers=[FIRST, second]))


def put(**changes: Any) -> pb.PutProgramRequest:
    """A request that puts a program."""
    return pb.PutProgramRequest(request_id=new_id(), program=document(**changes))


def activate(**changes: Any) -> pb.ActivateProgramRequest:
    """A request that activates the ready-made program's version."""
    values: dict[str, Any] = {
        "request_id": new_id(),
        "program_id": "general",
        "version": 1,
        "active_from": to_proto(day(1)),
    }
    return pb.ActivateProgramRequest(**values | changes)


def leave(**changes: Any) -> pb.LeaveRequest:
    """A request that ends a membership."""
    values: dict[str, Any] = {"request_id": new_id(), "customer_id": "c-1", "occurred_at": to_proto(day(1))}
    return pb.LeaveRequest(**values | changes)


def preview(**changes: Any) -> pb.PreviewProgramRequest:
    """A request that previews the ready-made program."""
    values: dict[str, Any] = {"program_id": "general", "version": 1, "as_of": to_proto(day(1))}
    return pb.PreviewProgramRequest(**values | changes)


def points(**changes: Any) -> member_pb2.Requirement:
    """So many points."""
    return member_pb2.Requirement(points=member_pb2.PointsRequirement(**{"at_least": 5} | changes))


def nested(depth: int) -> member_pb2.Requirement:
    """A tree so deep."""
    found = points()
    for _ in range(depth):
        found = member_pb2.Requirement(all=member_pb2.RequirementList(of=[found]))
    return found


SECOND = "program.tiers[1].requirement"
BOTH = member_pb2.RequirementWindow(days=5, period=member_pb2.CALENDAR_PERIOD_YEAR)
MOVES = member_pb2.ProgramMoves

BAD: list[tuple[str, Message, list[str]]] = [
    ("PutProgram", put(program_id="a b"), ["program.program_id"]),
    ("PutProgram", put(tiers=[]), ["program.tiers"]),
    (
        "PutProgram",
        put(tiers=[member_pb2.Tier(tier_id="first", display_name="First", points_required=-1)]),
        ["program.tiers[0].points_required"],
    ),
    ("PutProgram", put(window_days=0), ["program.window_days"]),
    ("PutProgram", put(display_name="a\x00b"), ["program.display_name"]),
    ("PutProgram", put(time_zone="../../etc/passwd"), ["program.time_zone"]),
    ("PutProgram", put(moves=MOVES(validity_days=5, validity_years=1)), ["program.moves.validity_years"]),
    ("PutProgram", put(moves=MOVES(grace_days=-1)), ["program.moves.grace_days"]),
    ("PutProgram", put(moves=MOVES(evaluated_every=cast(Any, 77))), ["program.moves.evaluated_every"]),
    ("DraftProgram", pb.DraftProgramRequest(program=document()), ["request_id"]),
    ("DraftProgram", asking(member_pb2.Requirement()), [SECOND]),
    ("DraftProgram", asking(points(at_least=0)), [f"{SECOND}.points.at_least"]),
    ("DraftProgram", asking(points(at_least=LARGEST)), [f"{SECOND}.points.at_least"]),
    ("DraftProgram", asking(points(kinds=["redeem"])), [f"{SECOND}.points.kinds[0]"]),
    ("DraftProgram", asking(points(kinds=["earn_order"] * 99)), [f"{SECOND}.points.kinds"]),
    ("DraftProgram", asking(points(classes=["none"])), [f"{SECOND}.points.classes[0]"]),
    ("DraftProgram", asking(points(window=BOTH)), [f"{SECOND}.points.window.period"]),
    ("DraftProgram", asking(nested(5)), [f"{SECOND}{'.all.of[0]' * 4}"]),
    (
        "DraftProgram",
        asking(member_pb2.Requirement(any=member_pb2.RequirementList(of=[points()] * 13))),
        [f"{SECOND}.any.of"],
    ),
    (
        "DraftProgram",
        asking(member_pb2.Requirement(tenure=member_pb2.TenureRequirement(days=5))),
        [f"{SECOND}.tenure.since"],
    ),
    (
        "DraftProgram",
        asking(member_pb2.Requirement(services=member_pb2.ServicesRequirement(at_least=1, kinds=cast(Any, [99])))),
        [f"{SECOND}.services.kinds[0]"],
    ),
    ("ActivateProgram", activate(program_id=""), ["program_id"]),
    ("ActivateProgram", activate(version=0), ["version"]),
    ("ActivateProgram", activate(version=-LARGEST), ["version"]),
    ("ActivateProgram", activate(active_from=None), ["active_from"]),
    ("ActivateProgram", activate(active_from=OUT_OF_RANGE), ["active_from"]),
    ("ActivateProgram", activate(request_id="a b"), ["request_id"]),
    ("GetProgram", pb.GetProgramRequest(program_id="/"), ["program_id"]),
    ("GetProgram", pb.GetProgramRequest(program_id="general", version=-1), ["version"]),
    ("DiffPrograms", pb.DiffProgramsRequest(from_version=1, to_version=1), ["program_id"]),
    ("DiffPrograms", pb.DiffProgramsRequest(program_id="general", from_version=-1), ["from_version"]),
    ("DiffPrograms", pb.DiffProgramsRequest(program_id="general", to_version=-1), ["to_version"]),
    ("PreviewProgram", preview(version=0), ["version"]),
    ("PreviewProgram", preview(as_of=None), ["as_of"]),
    ("PreviewProgram", preview(page_size=100_001), ["page_size"]),
    ("PreviewProgram", preview(page_token="§"), ["page_token"]),
    ("ListProgramVersions", pb.ListProgramVersionsRequest(program_id="a b"), ["program_id"]),
    ("ListProgramVersions", pb.ListProgramVersionsRequest(program_id="g", page_token=OTHER_LIST), ["page_token"]),
    ("ListProgramActivations", pb.ListProgramActivationsRequest(program_id="g", page_size=501), ["page_size"]),
    ("Enrol", enrol_request("c/1"), ["customer_id"]),
    ("Enrol", enrol_request(program_id="a b"), ["program_id"]),
    ("Enrol", enrol_request(person_id="p 1"), ["person_id"]),
    ("Enrol", enrol_request(occurred_at=None), ["occurred_at"]),
    ("Enrol", enrol_request(occurred_at=OUT_OF_RANGE), ["occurred_at"]),
    ("Enrol", enrol_request(request_id="a b"), ["request_id"]),
    ("BatchEnrol", pb.BatchEnrolRequest(requests=[enrol_request()] * 1001), ["requests"]),
    ("Leave", leave(customer_id=""), ["customer_id"]),
    ("Leave", leave(occurred_at=None), ["occurred_at"]),
    ("Leave", leave(request_id=""), ["request_id"]),
    ("GetMember", pb.GetMemberRequest(customer_id="-"), ["customer_id"]),
    ("GetMember", pb.GetMemberRequest(customer_id="c-1", as_of=OUT_OF_RANGE), ["as_of"]),
    ("ListMemberships", pb.ListMembershipsRequest(customer_id=""), ["customer_id"]),
    ("ListMemberships", pb.ListMembershipsRequest(customer_id="c-1", as_of=OUT_OF_RANGE), ["as_of"]),
    ("ListMembers", pb.ListMembersRequest(program_id="a b"), ["program_id"]),
    ("ListMembers", pb.ListMembersRequest(tier_id="'; DROP TABLE members"), ["tier_id"]),
    ("ListMembers", pb.ListMembersRequest(page_size=-1), ["page_size"]),
    ("ListTierHistory", pb.ListTierHistoryRequest(customer_id="c 1"), ["customer_id"]),
    ("ListTierHistory", pb.ListTierHistoryRequest(customer_id="c-1", page_token=OTHER_LIST), ["page_token"]),
    ("ForecastTier", pb.ForecastTierRequest(customer_id="c-1", program_id="a b"), ["program_id"]),
    ("ForecastTier", pb.ForecastTierRequest(customer_id="c-1", as_of=OUT_OF_RANGE), ["as_of"]),
    ("CountMembers", pb.CountMembersRequest(program_id="a b"), ["program_id"]),
    ("EvaluateTiers", pb.EvaluateTiersRequest(request_id="r"), ["as_of"]),
    ("EvaluateTiers", pb.EvaluateTiersRequest(as_of=to_proto(JANUARY)), ["request_id"]),
    ("WarnDowngrades", pb.WarnDowngradesRequest(request_id="r"), ["as_of"]),
    ("WarnDowngrades", pb.WarnDowngradesRequest(as_of=to_proto(JANUARY)), ["request_id"]),
    ("BeginActivations", pb.BeginActivationsRequest(request_id="r"), ["as_of"]),
    ("BeginActivations", pb.BeginActivationsRequest(as_of=to_proto(JANUARY)), ["request_id"]),
]

UNKNOWN: list[tuple[str, Message, str]] = [
    ("GetProgram", pb.GetProgramRequest(program_id="none"), "PROGRAM_NOT_FOUND"),
    ("GetProgram", pb.GetProgramRequest(program_id="general", version=LARGEST), "VERSION_NOT_FOUND"),
    ("ActivateProgram", activate(version=99), "VERSION_NOT_FOUND"),
    ("DiffPrograms", pb.DiffProgramsRequest(program_id="none"), "PROGRAM_NOT_FOUND"),
    ("PreviewProgram", preview(version=99), "VERSION_NOT_FOUND"),
    ("Enrol", enrol_request("nobody"), "CUSTOMER_NOT_FOUND"),
    ("Enrol", enrol_request("c-1", program_id="none"), "PROGRAM_NOT_FOUND"),
    ("Leave", leave(customer_id="nobody"), "MEMBER_NOT_FOUND"),
    ("GetMember", pb.GetMemberRequest(customer_id="nobody"), "MEMBER_NOT_FOUND"),
    ("ListMembers", pb.ListMembersRequest(program_id="none"), "PROGRAM_NOT_FOUND"),
    ("ListMembers", pb.ListMembersRequest(tier_id="none"), "TIER_NOT_FOUND"),
    ("ListTierHistory", pb.ListTierHistoryRequest(customer_id="nobody"), "MEMBER_NOT_FOUND"),
    ("ForecastTier", pb.ForecastTierRequest(customer_id="nobody"), "MEMBER_NOT_FOUND"),
    ("CountMembers", pb.CountMembersRequest(program_id="none"), "PROGRAM_NOT_FOUND"),
    (
        "EvaluateTiers",
        pb.EvaluateTiersRequest(request_id="r", program_id="none", as_of=to_proto(JANUARY)),
        "PROGRAM_NOT_FOUND",
    ),
    (
        "WarnDowngrades",
        pb.WarnDowngradesRequest(request_id="r", program_id="none", as_of=to_proto(JANUARY)),
        "PROGRAM_NOT_FOUND",
    ),
]


async def test_bad_input_names_its_field_and_stores_nothing(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    await refuses_bad_input(served, boss, BAD, UNKNOWN)
    # A draft is only looked at by ValidateProgram, whose answer says what is wrong.
    assert methods_of(pb) - {"ValidateProgram"} == {name for name, _, _ in BAD}
    wrong = await boss.memberships.ValidateProgram(pb.ValidateProgramRequest(program=document(window_days=-1)))
    assert [violation.field for violation in wrong.violations] == ["program.window_days"]
    nameless = await boss.memberships.ValidateProgram(pb.ValidateProgramRequest())
    assert [violation.field for violation in nameless.violations] == ["program.program_id"]


def services_and_tenure() -> member_pb2.Requirement:
    """A TV line and three days as a member."""
    line = member_pb2.ServicesRequirement(at_least=1, kinds=[member_pb2.SUBSCRIBER_KIND_TV])
    tenure = member_pb2.TenureRequirement(days=3, since=member_pb2.TENURE_SINCE_ENROLMENT)
    both = [member_pb2.Requirement(services=line), member_pb2.Requirement(tenure=tenure)]
    return member_pb2.Requirement(all=member_pb2.RequirementList(of=both))


def ready_made() -> member_pb2.Program:
    """The ready-made program with another way to silver."""
    first = member_pb2.Tier(tier_id="standard", display_name="Standard", earn_rate_percent=100)
    silver = member_pb2.Tier(tier_id="silver", display_name="Silver", rank=1, requirement=services_and_tenure())
    gold = member_pb2.Tier(tier_id="gold", display_name="Gold", rank=2, points_required=1000)
    return document(program_id="general", tiers=[first, silver, gold], moves=MOVES(grace_days=5))


async def test_a_version_is_drafted_previewed_and_put_in_force_once(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    drafting = pb.DraftProgramRequest(request_id=new_id(), program=ready_made())
    drafted = (await boss.memberships.DraftProgram(drafting)).version
    assert (drafted.program.revision, drafted.drafted_by) == (2, "boss")
    assert drafted.program.tiers[1].requirement == services_and_tenure()
    assert (await boss.memberships.DraftProgram(drafting)).version == drafted
    seen = await boss.memberships.PreviewProgram(preview(version=2, as_of=to_proto(day(5))))
    assert (seen.judged, seen.would_rise, seen.would_fall, seen.members) == (1, 1, 0, 1)
    asked = activate(version=2, active_from=to_proto(day(4)))
    activation = (await boss.memberships.ActivateProgram(asked)).activation
    assert (activation.sequence, activation.activated_by) == (2, "boss")
    assert (await boss.memberships.ActivateProgram(asked)).activation == activation
    listing = pb.ListProgramVersionsRequest(program_id="general", page_size=1)
    versions = await boss.memberships.ListProgramVersions(listing)
    listing.page_token = versions.next_page_token
    rest = await boss.memberships.ListProgramVersions(listing)
    assert [each.program.revision for each in (*versions.versions, *rest.versions)] == [2, 1]


async def test_a_member_rises_by_a_version_and_leaves(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    await boss.memberships.DraftProgram(pb.DraftProgramRequest(request_id=new_id(), program=ready_made()))
    await boss.memberships.ActivateProgram(activate(version=2, active_from=to_proto(day(2))))
    asked = pb.ForecastTierRequest(customer_id="c-1", as_of=to_proto(day(2)))
    forecast = await boss.memberships.ForecastTier(asked)
    assert [(each.measure, each.missing) for each in forecast.next.missing] == [("tenure", 1)]
    assert forecast.next.missing[0].reached_at == to_proto(day(3))
    assert not forecast.HasField("keeping")
    judged = await boss.memberships.EvaluateTiers(pb.EvaluateTiersRequest(request_id=new_id(), as_of=to_proto(day(4))))
    assert judged.upgraded == 1
    history = (await boss.memberships.ListTierHistory(pb.ListTierHistoryRequest(customer_id="c-1"))).tiers
    assert [(line.tier_id, line.program_version) for line in history] == [("silver", 2), ("standard", 1)]
    left = await boss.memberships.Leave(leave(occurred_at=to_proto(day(6))))
    assert left.points_given_up == 0
    assert not (await boss.memberships.ListMemberships(pb.ListMembershipsRequest(customer_id="c-1"))).members


async def test_a_member_sees_and_ends_the_own_membership_only(served: Serving, boss: Stubs) -> None:
    await become_member(boss, "c-1")
    await become_member(boss, "c-2")
    app = Stubs.of(served.channel("member.read", "member.write", subject="app", customer_id="c-1"))
    assert (await app.memberships.ForecastTier(pb.ForecastTierRequest(customer_id="c-1"))).next.tier.tier_id == "silver"
    for name, request in [
        ("ForecastTier", pb.ForecastTierRequest(customer_id="c-2")),
        ("ListTierHistory", pb.ListTierHistoryRequest(customer_id="c-2")),
        ("ListMemberships", pb.ListMembershipsRequest(customer_id="c-2")),
        ("Leave", leave(customer_id="c-2")),
        ("ListMembers", pb.ListMembersRequest()),
        ("PreviewProgram", preview()),
    ]:
        assert (await refused(app, name, request)).reason == "NOT_YOUR_CUSTOMER", name
    reader = Stubs.of(served.channel("member.read"))
    for name, request in [("DraftProgram", pb.DraftProgramRequest()), ("ActivateProgram", activate())]:
        assert (await refused(reader, name, request)).reason == "SCOPE_MISSING", name
    assert fields(await refused(boss, "Leave", leave(person_id="p 1"))) == ["person_id"]
