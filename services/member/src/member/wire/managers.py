"""Managers of customers between protobuf and the domain."""

from collections.abc import Callable, Mapping
from typing import Any

from chassis import times
from chassis.auth import current_caller
from chassis.ids import check_id
from chassis.outbox import Routed
from google.protobuf.message import Message
from touchstone.member.v1 import care_pb2, customer_events_pb2
from touchstone.member.v1 import care_service_pb2 as pb

from member.domain.customer import ManagerId
from member.domain.manager import Assignment, ManagerAssigned
from member.use_cases.managers import AssignManager
from member.wire.customers import customer_id_from_proto


def manager_id_from_proto(manager_id: str) -> ManagerId:
    """A manager's id, or InvalidArgument naming manager_id."""
    return ManagerId(check_id("manager_id", manager_id))


def assign_from_proto(request: pb.AssignManagerRequest) -> AssignManager:
    """Whom to assign, or InvalidArgument."""
    return AssignManager(
        customer_id_from_proto(request.customer_id),
        manager_id_from_proto(request.manager_id),
        times.from_proto(request.occurred_at, "occurred_at"),
        current_caller().subject,
    )


def unassign_from_proto(request: pb.UnassignManagerRequest) -> AssignManager:
    """From whom to take the manager, or InvalidArgument."""
    return AssignManager(
        customer_id_from_proto(request.customer_id),
        None,
        times.from_proto(request.occurred_at, "occurred_at"),
        current_caller().subject,
    )


def assigned_to_proto(assignment: Assignment) -> pb.AssignManagerResponse:
    """Who it is now."""
    return pb.AssignManagerResponse(assignment=assignment_to_proto(assignment))


def unassigned_to_proto(assignment: Assignment) -> pb.UnassignManagerResponse:
    """Nobody."""
    return pb.UnassignManagerResponse(assignment=assignment_to_proto(assignment))


def assignment_to_proto(assignment: Assignment) -> care_pb2.ManagerAssignment:
    """An assignment."""
    return care_pb2.ManagerAssignment(
        customer_id=assignment.customer_id,
        manager_id=assignment.manager_id or "",
        occurred_at=times.to_proto(assignment.occurred_at),
        revision=assignment.revision,
        assigned_by=assignment.assigned_by,
        recorded_at=times.to_proto(assignment.recorded_at),
    )


def manager_assigned_to_proto(fact: ManagerAssigned) -> customer_events_pb2.ManagerAssigned:
    """The event of who looks after a customer from now on."""
    return customer_events_pb2.ManagerAssigned(
        customer_id=fact.assignment.customer_id,
        manager_id=fact.assignment.manager_id or "",
        occurred_at=times.to_proto(fact.occurred_at),
        revision=fact.assignment.revision,
    )


FACTS: Mapping[type[Any], Callable[[Any], Message | Routed]] = {ManagerAssigned: manager_assigned_to_proto}
