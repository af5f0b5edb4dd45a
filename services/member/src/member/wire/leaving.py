"""Memberships that end, between protobuf and the domain."""

from chassis import times
from touchstone.member.v1 import membership_service_pb2 as membership_pb

from member.use_cases.memberships import LeaveProgram, Left
from member.wire.memberships import holder_from_proto
from member.wire.points import transaction_id_of


def leave_from_proto(request: membership_pb.LeaveRequest) -> LeaveProgram:
    """Which membership to end, or InvalidArgument."""
    return LeaveProgram(
        transaction_id_of("leave", request.request_id),
        holder_from_proto(request),
        occurred_at=times.from_proto(request.occurred_at, "occurred_at"),
        give_up_points=request.give_up_points,
    )


def left_to_proto(left: Left) -> membership_pb.LeaveResponse:
    """The membership that ended."""
    return membership_pb.LeaveResponse(member_id=left.member.member_id, points_given_up=left.points_given_up)
