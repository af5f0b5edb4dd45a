"""Merging, exporting and erasing customers between protobuf and the domain."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from chassis import times
from chassis.auth import current_caller
from chassis.ids import check_id
from chassis.outbox import Routed
from google.protobuf.message import Message
from touchstone.member.v1 import customer_events_pb2
from touchstone.member.v1 import customer_service_pb2 as pb

from member.domain.customer import PersonId
from member.domain.erasure import Erasure, PersonalDataErased
from member.domain.merge import CustomersMerged, Merge, Merged
from member.use_cases.erasing import EraseCustomer
from member.use_cases.exporting import Document
from member.use_cases.merging import MergeCustomers
from member.wire.customers import customer_id_from_proto, person_id_from_proto


def merge_from_proto(request: pb.MergeCustomersRequest) -> MergeCustomers:
    """What to merge, or InvalidArgument."""
    return MergeCustomers(
        customer_id=customer_id_from_proto(request.customer_id),
        merged_id=customer_id_from_proto(request.merged_customer_id, "merged_customer_id"),
        moves=tuple(
            (
                PersonId(check_id(f"person_moves[{index}].person_id", move.person_id)),
                PersonId(check_id(f"person_moves[{index}].becomes_person_id", move.becomes_person_id)),
            )
            for index, move in enumerate(request.person_moves)
        ),
        occurred_at=times.from_proto(request.occurred_at, "occurred_at"),
        by=current_caller().subject,
    )


def merged_to_proto(merged: Merged) -> pb.MergeCustomersResponse:
    """What was merged."""
    return pb.MergeCustomersResponse(
        customer_id=merged.merge.customer_id,
        merged_customer_id=merged.merge.merged_id,
        merged_at=times.to_proto(merged.merge.merged_at),
        moved_memberships=merged.merge.moved_memberships,
        carried=[
            pb.CarriedPoints(
                program_id=each.program_id,
                from_member_id=each.member_id,
                to_member_id=each.into_member_id,
                points=each.points,
            )
            for each in merged.carried
        ],
    )


def merge_to_proto(merge: Merge) -> pb.Merge:
    """A merge, with who did it."""
    return pb.Merge(
        merged_customer_id=merge.merged_id,
        customer_id=merge.customer_id,
        person_moves=[
            pb.PersonMove(person_id=person_id, becomes_person_id=becomes)
            for person_id, becomes in merge.person_moves.items()
        ],
        merged_at=times.to_proto(merge.merged_at),
        merged_by=merge.merged_by,
        recorded_at=times.to_proto(merge.recorded_at),
    )


def erase_from_proto(request: pb.EraseCustomerRequest) -> EraseCustomer:
    """Whom to forget, or InvalidArgument."""
    return EraseCustomer(
        customer_id_from_proto(request.customer_id),
        person_id_from_proto(request.person_id),
        times.from_proto(request.occurred_at, "occurred_at"),
        current_caller().subject,
    )


def erased_to_proto(erasure: Erasure) -> pb.EraseCustomerResponse:
    """Whom nobody knows any more."""
    return pb.EraseCustomerResponse(
        customer_id=erasure.customer_id, person_id=erasure.person_id, erased_at=times.to_proto(erasure.erased_at)
    )


def export_to_proto(document: Document) -> pb.ExportCustomerResponse:
    """The document."""
    return pb.ExportCustomerResponse(document=json.dumps(document, ensure_ascii=False))


def customers_merged_to_proto(fact: CustomersMerged) -> customer_events_pb2.CustomerMerged:
    """The event of two customers' becoming one."""
    return customer_events_pb2.CustomerMerged(
        merged_customer_id=fact.merge.merged_id,
        customer_id=fact.merge.customer_id,
        occurred_at=times.to_proto(fact.occurred_at),
    )


def personal_data_erased_to_proto(fact: PersonalDataErased) -> customer_events_pb2.CustomerErased:
    """The event of an erasure."""
    return customer_events_pb2.CustomerErased(
        customer_id=fact.erasure.customer_id,
        person_id=fact.erasure.person_id,
        occurred_at=times.to_proto(fact.occurred_at),
    )


FACTS: Mapping[type[Any], Callable[[Any], Message | Routed]] = {
    CustomersMerged: customers_merged_to_proto,
    PersonalDataErased: personal_data_erased_to_proto,
}
