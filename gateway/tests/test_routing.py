"""Routes made from the contracts."""

import json
from typing import Any

import pytest
from gateway.asking import body_of, fill
from gateway.routing import get, put, router_of
from gateway.schema import model_of, to_json
from google.protobuf import struct_pb2
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from touchstone.billing.v1 import bill_service_pb2 as billing_pb
from touchstone.member.v1 import member_pb2

AT = "2026-03-01T12:00:00Z"


def read(message: Message, body: dict[str, Any]) -> Message:
    """The message that a body comes to."""
    names = frozenset(field.name for field in message.DESCRIPTOR.fields)
    fill(
        message, body_of(message.DESCRIPTOR, names).model_validate_json(json.dumps(body)).model_dump(exclude_unset=True)
    )
    return message


def test_a_body_becomes_the_message_field_by_field() -> None:
    line = {"subscriber_id": "s-1", "kind": "TV", "in_service_since": AT}
    body = {"kind": "HOUSEHOLD", "display_name": "Li", "subscribers": [line], "registered_at": AT}
    found = read(member_pb2.Customer(), body)
    assert isinstance(found, member_pb2.Customer)
    assert (found.kind, found.display_name) == (member_pb2.CUSTOMER_KIND_HOUSEHOLD, "Li")
    assert (found.subscribers[0].kind, found.registered_at.ToJsonString()) == (member_pb2.SUBSCRIBER_KIND_TV, AT)


@given(
    st.dictionaries(
        st.text(st.characters(categories=["L"]), min_size=1), st.recursive(st.integers(0, 9), st.lists, max_leaves=5)
    )
)
def test_a_message_that_holds_itself_is_read_and_shown(values: dict[str, Any]) -> None:
    """Struct holds values, which hold structs and lists of values: maps and recursion at once."""
    sent = struct_pb2.Struct()
    sent.update(values)
    shown = to_json(sent)
    model = model_of(struct_pb2.Struct)
    assert model.model_validate(shown).model_dump() == shown


def test_a_route_that_its_method_cannot_serve_is_refused_at_start() -> None:
    with pytest.raises(ValueError, match="no field bill_id"):
        router_of("billing", [get("/accounts/{bill_id}", "billing.v1.AccountService.GetAccount")])
    with pytest.raises(KeyError):
        router_of("billing", [put("/accounts", "billing.v1.AccountService.Nothing")])


def test_when_it_happened_is_always_required() -> None:
    model = body_of(billing_pb.PayBillRequest.DESCRIPTOR, frozenset({"channel", "occurred_at"}))
    with pytest.raises(ValidationError) as error:
        model.model_validate({"channel": "app"})
    assert [each["loc"] for each in error.value.errors()] == [("occurred_at",)]
    assert model.model_fields["channel"].description
