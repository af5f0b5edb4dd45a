"""Programs, tiers and memberships between protobuf and the domain."""

from datetime import datetime
from typing import Protocol

from chassis import times
from chassis.ids import check_id
from touchstone.member.v1 import member_pb2
from touchstone.member.v1 import membership_service_pb2 as membership_pb
from touchstone.member.v1 import points_service_pb2 as points_pb

from member.domain.customer import EVERYBODY, PersonId
from member.domain.membership import Holder, Standing
from member.domain.program import GENERAL, Program, ProgramId, Tier, TierId
from member.use_cases.memberships import EnrolCustomer
from member.use_cases.programs import PutProgram
from member.use_cases.tiers import EvaluateTiers, Evaluation
from member.wire.customers import customer_id_from_proto


class NamesHolder(Protocol):
    """A request that names a customer, a program and a person of the customer."""

    customer_id: str
    program_id: str
    person_id: str


def program_id_from_proto(program_id: str) -> ProgramId:
    """A program's id, "general" where it is empty, or InvalidArgument naming program_id."""
    return ProgramId(check_id("program_id", program_id)) if program_id else GENERAL


def holder_from_proto(request: NamesHolder) -> Holder:
    """Whose membership the request is about, or InvalidArgument naming the id that is wrong."""
    person_id = PersonId(check_id("person_id", request.person_id)) if request.person_id else EVERYBODY
    return Holder(customer_id_from_proto(request.customer_id), program_id_from_proto(request.program_id), person_id)


def instant_from_proto(
    request: membership_pb.GetMemberRequest | points_pb.GetPointsBalanceRequest,
) -> datetime | None:
    """The instant asked about; None where it is not said."""
    return times.from_proto(request.as_of, "as_of") if request.HasField("as_of") else None


def put_program_from_proto(request: membership_pb.PutProgramRequest) -> PutProgram:
    """The program to put, or InvalidArgument naming every field that is wrong."""
    program = request.program
    return PutProgram(
        Program(
            program_id=ProgramId(check_id("program.program_id", program.program_id)),
            display_name=program.display_name,
            tiers=tuple(
                Tier(
                    tier_id=TierId(check_id(f"program.tiers[{index}].tier_id", tier.tier_id)),
                    display_name=tier.display_name,
                    rank=tier.rank,
                    points_required=tier.points_required,
                    earn_rate_percent=tier.earn_rate_percent,
                )
                for index, tier in enumerate(program.tiers)
            ),
            window_days=program.window_days,
            points_lifetime_days=program.points_lifetime_days,
        )
    )


def program_to_proto(program: Program) -> member_pb2.Program:
    """The program with its tiers by rank."""
    return member_pb2.Program(
        program_id=program.program_id,
        display_name=program.display_name,
        tiers=[tier_to_proto(tier) for tier in program.tiers],
        window_days=program.window_days,
        points_lifetime_days=program.points_lifetime_days,
        revision=program.revision,
    )


def tier_to_proto(tier: Tier) -> member_pb2.Tier:
    """The tier."""
    return member_pb2.Tier(
        tier_id=tier.tier_id,
        display_name=tier.display_name,
        rank=tier.rank,
        points_required=tier.points_required,
        earn_rate_percent=tier.earn_rate_percent,
    )


def enrol_from_proto(request: membership_pb.EnrolRequest) -> EnrolCustomer:
    """Whom to enrol, or InvalidArgument."""
    return EnrolCustomer(holder_from_proto(request), occurred_at=times.from_proto(request.occurred_at, "occurred_at"))


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
    )


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
