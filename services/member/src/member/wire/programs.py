"""Programs, their versions and what their tiers ask for, between protobuf and the domain."""

from collections.abc import Sequence

from chassis import times
from chassis.auth import current_caller
from chassis.errors import FieldViolation, InvalidArgument
from chassis.ids import check_id
from touchstone.member.v1 import member_pb2, program_pb2
from touchstone.member.v1 import membership_service_pb2 as pb

from member.domain.program import Moves, Program, ProgramId, Tier, TierId
from member.store.programs import Activation, Version
from member.use_cases.programs import ActivateProgram, DraftProgram, PutProgram
from member.wire.benefits import benefit_from_proto, benefit_to_proto
from member.wire.memberships import tier_to_proto, version_from_proto
from member.wire.requirements import period_from_proto, period_to_proto, requirement_from_proto, requirement_to_proto


def named_program_from_proto(program_id: str) -> ProgramId:
    """A program's id, or InvalidArgument naming program_id."""
    return ProgramId(check_id("program_id", program_id))


def version_or_active_from_proto(field: str, version: int) -> int:
    """A version's number, 0 for the one in force, or InvalidArgument."""
    if version < 0:
        raise InvalidArgument(field, "must be the number of a version, or 0 for the one in force")
    return version


def program_from_proto(program: member_pb2.Program, zone: str) -> Program:
    """The program, with the operator's time zone where it names none; or InvalidArgument for what is no program."""
    moves = program.moves
    return Program(
        program_id=ProgramId(check_id("program.program_id", program.program_id)),
        display_name=program.display_name,
        tiers=tuple(_tier_from_proto(f"program.tiers[{place}]", tier) for place, tier in enumerate(program.tiers)),
        window_days=program.window_days,
        points_lifetime_days=program.points_lifetime_days,
        moves=Moves(
            upgrades_at_once=moves.upgrades_at_once,
            validity_days=moves.validity_days,
            validity_years=moves.validity_years,
            grace_days=moves.grace_days,
            warning_days=moves.warning_days,
            soft_landing=moves.soft_landing,
            evaluated_every=period_from_proto("program.moves.evaluated_every", moves.evaluated_every),
        ),
        time_zone=program.time_zone or zone,
    )


def put_program_from_proto(request: pb.PutProgramRequest, zone: str) -> PutProgram:
    """The program to put, or InvalidArgument naming every field that is wrong."""
    return PutProgram(program_from_proto(request.program, zone), current_caller().subject)


def draft_from_proto(request: pb.DraftProgramRequest, zone: str) -> DraftProgram:
    """The version to keep, or InvalidArgument naming every field that is wrong."""
    return DraftProgram(program_from_proto(request.program, zone), current_caller().subject)


def activate_from_proto(request: pb.ActivateProgramRequest) -> ActivateProgram:
    """What to have in force from when on, or InvalidArgument."""
    return ActivateProgram(
        named_program_from_proto(request.program_id),
        version_from_proto(request.version),
        active_from=times.from_proto(request.active_from, "active_from"),
        by=current_caller().subject,
    )


def program_to_proto(program: Program) -> member_pb2.Program:
    """The program with its tiers by rank, and all they ask for and give."""
    moves = program.moves
    return member_pb2.Program(
        program_id=program.program_id,
        display_name=program.display_name,
        tiers=[_whole_tier_to_proto(tier) for tier in program.tiers],
        window_days=program.window_days,
        points_lifetime_days=program.points_lifetime_days,
        revision=program.revision,
        moves=None
        if moves == Moves()
        else member_pb2.ProgramMoves(
            upgrades_at_once=moves.upgrades_at_once,
            validity_days=moves.validity_days,
            validity_years=moves.validity_years,
            grace_days=moves.grace_days,
            warning_days=moves.warning_days,
            soft_landing=moves.soft_landing,
            evaluated_every=period_to_proto(moves.evaluated_every),
        ),
        time_zone=program.time_zone,
    )


def version_to_proto(version: Version) -> program_pb2.ProgramVersion:
    """The version."""
    return program_pb2.ProgramVersion(
        program=program_to_proto(version.program),
        drafted_by=version.drafted_by,
        recorded_at=times.to_proto(version.recorded_at),
    )


def drafted_to_proto(version: Version) -> pb.DraftProgramResponse:
    """The version kept."""
    return pb.DraftProgramResponse(version=version_to_proto(version))


def activation_to_proto(activation: Activation) -> program_pb2.ProgramActivation:
    """The activation."""
    return program_pb2.ProgramActivation(
        program_id=activation.program_id,
        sequence=activation.sequence,
        version=activation.version,
        active_from=times.to_proto(activation.active_from),
        activated_by=activation.activated_by,
        recorded_at=times.to_proto(activation.recorded_at),
    )


def activated_to_proto(activation: Activation) -> pb.ActivateProgramResponse:
    """The activation made."""
    return pb.ActivateProgramResponse(activation=activation_to_proto(activation))


def violations_to_proto(violations: Sequence[FieldViolation]) -> pb.ValidateProgramResponse:
    """What would be refused."""
    return pb.ValidateProgramResponse(
        violations=[pb.ProgramViolation(field=each.field, description=each.description) for each in violations]
    )


def _tier_from_proto(field: str, tier: member_pb2.Tier) -> Tier:
    requirement = tier.requirement if tier.HasField("requirement") else None
    return Tier(
        tier_id=TierId(check_id(f"{field}.tier_id", tier.tier_id)),
        display_name=tier.display_name,
        rank=tier.rank,
        points_required=tier.points_required,
        earn_rate_percent=tier.earn_rate_percent,
        requirement=requirement_from_proto(f"{field}.requirement", requirement) if requirement else None,
        benefits=tuple(
            benefit_from_proto(f"{field}.benefits[{place}]", benefit) for place, benefit in enumerate(tier.benefits)
        ),
    )


def _whole_tier_to_proto(tier: Tier) -> member_pb2.Tier:
    message = tier_to_proto(tier)
    if tier.requirement is not None:
        message.requirement.CopyFrom(requirement_to_proto(tier.requirement))
    message.benefits.extend(benefit_to_proto(benefit) for benefit in tier.benefits)
    return message
