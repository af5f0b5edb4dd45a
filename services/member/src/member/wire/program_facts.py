"""Facts of programs and memberships as events."""

from collections.abc import Callable, Mapping
from typing import Any

from chassis import times
from chassis.outbox import Routed
from google.protobuf.message import Message
from touchstone.member.v1 import program_events_pb2

from member.domain.membership import DowngradeWarned, MemberLeft
from member.domain.program import ProgramActivated
from member.wire.memberships import missing_to_proto


def program_activated_to_proto(fact: ProgramActivated) -> program_events_pb2.ProgramActivated:
    """The event of another version in force."""
    return program_events_pb2.ProgramActivated(
        program_id=fact.program_id,
        version=fact.version,
        occurred_at=times.to_proto(fact.occurred_at),
        revision=fact.revision,
    )


def member_left_to_proto(fact: MemberLeft) -> program_events_pb2.MemberLeft:
    """The event of a membership that ended."""
    return program_events_pb2.MemberLeft(
        member_id=fact.member_id,
        customer_id=fact.holder.customer_id,
        program_id=fact.holder.program_id,
        person_id=fact.holder.person_id,
        points_given_up=fact.points_given_up,
        occurred_at=times.to_proto(fact.occurred_at),
    )


def downgrade_warned_to_proto(fact: DowngradeWarned) -> program_events_pb2.DowngradeWarned:
    """The event of a warning."""
    return program_events_pb2.DowngradeWarned(
        member_id=fact.member_id,
        customer_id=fact.holder.customer_id,
        program_id=fact.holder.program_id,
        person_id=fact.holder.person_id,
        tier_id=fact.tier.tier_id,
        falls_to_tier_id=fact.falls_to.tier_id,
        missing=[missing_to_proto(each) for each in fact.missing],
        ends_at=times.to_proto(fact.ends_at),
        occurred_at=times.to_proto(fact.occurred_at),
    )


FACTS: Mapping[type[Any], Callable[[Any], Message | Routed]] = {
    ProgramActivated: program_activated_to_proto,
    MemberLeft: member_left_to_proto,
    DowngradeWarned: downgrade_warned_to_proto,
}
