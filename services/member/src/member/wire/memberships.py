"""Memberships, their tiers and what becomes of them, between protobuf and the domain."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from chassis import times
from chassis.consumers import Delivery
from chassis.errors import InvalidArgument
from chassis.ids import check_id
from touchstone.member.v1 import member_events_pb2, member_pb2, program_pb2
from touchstone.member.v1 import membership_service_pb2 as membership_pb

from member.domain.customer import EVERYBODY, CustomerId, PersonId
from member.domain.forecast import Forecast, Goal, Keeping
from member.domain.membership import Holder, Member, MoveReason, Standing, TierHeld
from member.domain.program import GENERAL, ProgramId, Tier, TierId
from member.domain.requirement import Missing, Points, Services, Spend, Tenure, in_words
from member.use_cases.memberships import EnrolCustomer
from member.use_cases.outlook import Preview, PreviewProgram, WarnDowngrades, Warnings
from member.use_cases.tiers import EvaluateTiers, Evaluation
from member.wire.customers import customer_id_from_proto

_REASONS = {
    MoveReason.ENROLMENT: program_pb2.TIER_REASON_ENROLMENT,
    MoveReason.EVENT: program_pb2.TIER_REASON_EVENT,
    MoveReason.EVALUATION: program_pb2.TIER_REASON_EVALUATION,
    MoveReason.PLACEMENT: program_pb2.TIER_REASON_PLACEMENT,
}
_MEASURES = {Points: "points", Spend: "spend", Tenure: "tenure", Services: "services"}
_PREVIEWED_DEFAULT = 20_000
PREVIEWED_MAX = 100_000


class NamesHolder(Protocol):
    """A request that names a customer, a program and a person of the customer."""

    customer_id: str
    program_id: str
    person_id: str


def program_id_from_proto(program_id: str) -> ProgramId:
    """A program's id, "general" where it is empty, or InvalidArgument naming program_id."""
    return ProgramId(check_id("program_id", program_id)) if program_id else GENERAL


def tier_id_from_proto(tier_id: str) -> TierId | None:
    """A tier's id, None where it is empty, or InvalidArgument naming tier_id."""
    return TierId(check_id("tier_id", tier_id)) if tier_id else None


def holder_from_proto(request: NamesHolder) -> Holder:
    """Whose membership the request is about, or InvalidArgument naming the id that is wrong."""
    person_id = PersonId(check_id("person_id", request.person_id)) if request.person_id else EVERYBODY
    return Holder(customer_id_from_proto(request.customer_id), program_id_from_proto(request.program_id), person_id)


def instant_from_proto(request: Any) -> datetime | None:
    """The instant asked about; None where it is not said."""
    return times.from_proto(request.as_of, "as_of") if request.HasField("as_of") else None


def enrol_from_proto(request: membership_pb.EnrolRequest) -> EnrolCustomer:
    """Whom to enrol, or InvalidArgument."""
    return EnrolCustomer(
        holder_from_proto(request),
        occurred_at=times.from_proto(request.occurred_at, "occurred_at"),
    )


def changed_customers_from_deliveries(
    deliveries: Sequence[Delivery[member_events_pb2.CustomerRegistered]],
) -> dict[CustomerId, datetime]:
    """The customers that changed, each with the latest instant of its changes; or InvalidArgument."""
    latest: dict[CustomerId, datetime] = {}
    for delivery in deliveries:
        customer_id = customer_id_from_proto(delivery.message.customer_id)
        at = times.from_proto(delivery.message.occurred_at, "occurred_at")
        latest[customer_id] = max(at, latest.get(customer_id, at))
    return latest


def tier_to_proto(tier: Tier) -> member_pb2.Tier:
    """The tier as that of a member, without what it asks for and gives."""
    return member_pb2.Tier(
        tier_id=tier.tier_id,
        display_name=tier.display_name,
        rank=tier.rank,
        points_required=tier.points_required,
        earn_rate_percent=tier.earn_rate_percent,
    )


def enrolled_to_proto(standing: Standing) -> membership_pb.EnrolResponse:
    """The membership just begun."""
    return membership_pb.EnrolResponse(member=member_to_proto(standing))


def member_to_proto(standing: Standing) -> member_pb2.Member:
    """The membership and what is missing to the next tier."""
    member = standing.member
    return member_pb2.Member(
        member_id=member.member_id,
        customer_id=member.customer_id,
        program_id=member.program_id,
        tier=tier_to_proto(standing.tier),
        tier_since=times.to_proto(member.tier_since),
        enrolled_at=times.to_proto(member.enrolled_at),
        qualifying_points=standing.qualifying_points,
        next_tier=tier_to_proto(standing.next_tier) if standing.next_tier else None,
        points_to_next_tier=standing.points_to_next_tier,
        revision=member.revision,
        person_id=member.holder.person_id,
        tier_holds_until=times.to_proto(member.holds_until) if member.holds_until else None,
        in_grace=member.in_grace,
    )


def member_summary_to_proto(member: Member) -> membership_pb.MemberSummary:
    """The membership as a list shows it."""
    return membership_pb.MemberSummary(
        member_id=member.member_id,
        customer_id=member.customer_id,
        person_id=member.holder.person_id,
        tier_id=member.tier_id,
        tier_since=times.to_proto(member.tier_since),
        enrolled_at=times.to_proto(member.enrolled_at),
    )


def tier_held_to_proto(held: TierHeld) -> program_pb2.TierHistoryEntry:
    """A line of a history."""
    return program_pb2.TierHistoryEntry(
        revision=held.revision,
        tier_id=held.tier_id,
        held_from=times.to_proto(held.held_from),
        program_version=held.version,
        reason=_REASONS[held.reason],
        note=held.note,
    )


def missing_to_proto(missing: Missing) -> program_pb2.MissingCondition:
    """What is missing to one condition."""
    return program_pb2.MissingCondition(
        condition=in_words(missing.leaf),
        measure=_MEASURES[type(missing.leaf)],
        missing=missing.amount,
        reached_at=times.to_proto(missing.at) if missing.at else None,
    )


def forecast_to_proto(forecast: Forecast) -> membership_pb.ForecastTierResponse:
    """How a member stands to its tiers."""
    return membership_pb.ForecastTierResponse(
        member=member_to_proto(forecast.standing),
        next=_goal_to_proto(forecast.goal) if forecast.goal else None,
        keeping=_keeping_to_proto(forecast.keeping) if forecast.keeping else None,
    )


def preview_from_proto(request: membership_pb.PreviewProgramRequest, after: str | None) -> PreviewProgram:
    """What to preview behind which member, or InvalidArgument."""
    return PreviewProgram(
        ProgramId(check_id("program_id", request.program_id)),
        version_from_proto(request.version),
        as_of=times.from_proto(request.as_of, "as_of"),
        after=after or "",
        most=request.page_size or _PREVIEWED_DEFAULT,
    )


def preview_to_proto(preview: Preview, next_page_token: str) -> membership_pb.PreviewProgramResponse:
    """Where some members would stand."""
    return membership_pb.PreviewProgramResponse(
        judged=preview.judged,
        would_rise=preview.would_rise,
        would_fall=preview.would_fall,
        cells=[
            program_pb2.TierMatrixCell(
                tier_id=cell.tier_id,
                reached_tier_id=preview.program.tiers[cell.reached].tier_id,
                members=cell.members,
                protected=cell.protected,
                sample_member_ids=cell.samples,
            )
            for cell in preview.cells
        ],
        members=preview.members,
        next_page_token=next_page_token,
    )


def warn_from_proto(request: membership_pb.WarnDowngradesRequest) -> WarnDowngrades:
    """Whom to warn, or InvalidArgument."""
    return WarnDowngrades(program_id_from_proto(request.program_id), as_of=times.from_proto(request.as_of, "as_of"))


def warnings_to_proto(warnings: Warnings) -> membership_pb.WarnDowngradesResponse:
    """Who was warned."""
    return membership_pb.WarnDowngradesResponse(examined=warnings.examined, warned=warnings.warned)


def counts_to_proto(counts: list[tuple[Tier, int]]) -> membership_pb.CountMembersResponse:
    """Members by tier."""
    return membership_pb.CountMembersResponse(
        tiers=[membership_pb.TierCount(tier_id=tier.tier_id, members=held_by) for tier, held_by in counts]
    )


def evaluate_from_proto(request: membership_pb.EvaluateTiersRequest) -> EvaluateTiers:
    """What to judge, or InvalidArgument."""
    return EvaluateTiers(program_id_from_proto(request.program_id), as_of=times.from_proto(request.as_of, "as_of"))


def evaluation_to_proto(evaluation: Evaluation) -> membership_pb.EvaluateTiersResponse:
    """What the judging changed."""
    return membership_pb.EvaluateTiersResponse(
        evaluated=evaluation.evaluated, upgraded=evaluation.upgraded, downgraded=evaluation.downgraded
    )


def version_from_proto(version: int) -> int:
    """A version's number, or InvalidArgument."""
    if version < 1:
        raise InvalidArgument("version", "must be the number of a version, from 1")
    return version


def _goal_to_proto(goal: Goal) -> program_pb2.TierGoal:
    return program_pb2.TierGoal(
        tier=tier_to_proto(goal.tier),
        missing=[missing_to_proto(each) for each in goal.missing],
        by=times.to_proto(goal.by) if goal.by else None,
    )


def _keeping_to_proto(keeping: Keeping) -> program_pb2.TierKeeping:
    return program_pb2.TierKeeping(
        lost_at=times.to_proto(keeping.lost_at) if keeping.lost_at else None,
        held_until=times.to_proto(keeping.held_until) if keeping.held_until else None,
        needed=[missing_to_proto(each) for each in keeping.needed],
        falls_to=tier_to_proto(keeping.falls_to) if keeping.falls_to else None,
    )
