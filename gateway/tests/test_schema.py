"""Every answer is what its description says, whatever a service puts into the message."""

import json
from datetime import datetime
from typing import Any

from chassis.testing import Keys
from gateway.description import Described
from gateway.schema import enum_number, is_map, model_of, to_json
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from touchstone.billing.v1 import billing_pb2
from touchstone.scoring.v1 import scoring_pb2

from tests.contract.gateways import Gateway
from tests.contract.promises import method_named, promises

REPLIES = sorted({promise.method for promise in promises() if promise.rest is not None})
EXACT = 2**53 - 1
DEEPEST = 6


def values(field: Any, depth: int) -> st.SearchStrategy[Any]:
    """What one value of a field may be."""
    if field.message_type is not None:
        return messages(field.message_type, depth + 1)
    if field.enum_type is not None:
        return st.sampled_from([*field.enum_type.values_by_number, 99])
    if field.cpp_type in (field.CPPTYPE_DOUBLE, field.CPPTYPE_FLOAT):
        return st.floats(allow_nan=False, allow_infinity=False)
    if field.cpp_type == field.CPPTYPE_BOOL:
        return st.booleans()
    if field.cpp_type == field.CPPTYPE_STRING:
        return st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    most = 2**31 - 1 if field.cpp_type in (field.CPPTYPE_INT32, field.CPPTYPE_UINT32) else EXACT
    return st.integers(-most, most)


def messages(descriptor: Descriptor, depth: int = 0) -> st.SearchStrategy[Message]:
    """Any message of a type, with any of its fields left out, and no deeper than a few within each other."""
    made: Any = message_factory.GetMessageClass(descriptor)
    if descriptor.full_name == "google.protobuf.Timestamp":
        return st.builds(made, seconds=st.integers(0, 253402300799), nanos=st.integers(0, 999_999_999))
    fields: dict[str, st.SearchStrategy[Any]] = {
        field.name: several(field, depth) if field.is_repeated else values(field, depth)
        for field in _fields(descriptor)
        if field.message_type is None or depth < DEEPEST
    }
    return st.fixed_dictionaries({}, optional=fields).map(lambda chosen: made(**chosen))


def several(field: Any, depth: int) -> st.SearchStrategy[Any]:
    """Values of a list or a map."""
    if not is_map(field):
        return st.lists(values(field, depth), max_size=2)
    entry = field.message_type.fields_by_name
    return st.dictionaries(values(entry["key"], depth), values(entry["value"], depth), max_size=2)


def _fields(descriptor: Any) -> list[Any]:
    return list(descriptor.fields)


@given(st.sampled_from(REPLIES).flatmap(lambda method: messages(method_named(method).output_type)))
def test_every_reply_fits_its_description(message: Message) -> None:
    rendered = to_json(message)
    reply_type: Any = type(message)
    model = model_of(reply_type)
    assert set(rendered) == {field.name for field in _fields(message.DESCRIPTOR)}
    kept = model.model_validate(json.loads(json.dumps(rendered))).model_dump(mode="json")
    assert instants(kept) == instants(rendered)


def instants(value: Any) -> Any:
    """The same with times as instants to the microsecond, which may be written in more than one way."""
    if isinstance(value, dict):
        return {name: instants(each) for name, each in value.items()}
    if isinstance(value, list):
        return [instants(each) for each in value]
    if isinstance(value, str) and value.endswith("Z") and value[4:5] == "-" and value[10:11] == "T":
        return datetime.fromisoformat(value[:26].rstrip("Z").ljust(19) + "+00:00")
    return value


def test_what_is_not_set_though_it_could_be_is_null() -> None:
    score = to_json(scoring_pb2.Score(customer_id="c", p_alive=0.0))
    assert (score["p_alive"], score["expected_purchases"], score["as_of"]) == (0.0, None, None)
    assert (score["frequency"], score["band"], score["reasons"], score["lapsed"]) == (0, "", [], False)


def test_an_enum_is_its_short_name_both_ways() -> None:
    assert to_json(billing_pb2.Bill(state=billing_pb2.BILL_STATE_OPEN))["state"] == "OPEN"
    assert enum_number(billing_pb2.BillState.DESCRIPTOR, "OPEN") == billing_pb2.BILL_STATE_OPEN
    assert to_json(billing_pb2.Bill(state=99))["state"] == "99"  # type: ignore[arg-type]  # a newer service's


def test_the_description_is_complete(keys: Keys) -> None:
    described = Gateway.described(keys)
    assert isinstance(described.app, Described)
    document = described.app.openapi()
    assert document["openapi"].startswith("3.1")
    assert document == json.loads(json.dumps(document))
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names)) == len(list(described.routes()))
    schemes = document["components"]["securitySchemes"]
    assert schemes["HTTPBearer"]["scheme"] == "bearer"
    for operation in operations:
        assert operation["operationId"].isidentifier()
        assert operation["description"].endswith(".")
        assert operation["security"] == [{"HTTPBearer": []}]
        assert {"400", "401", "403", "429", "503"} < set(operation["responses"])
        assert "422" not in operation["responses"]
        kinds = {
            kind for status, each in operation["responses"].items() for kind in each["content"] if status[0] != "2"
        }
        assert kinds == {"application/problem+json"}


def test_every_reference_of_the_description_leads_somewhere(keys: Keys) -> None:
    document = Gateway.described(keys).app.openapi()
    schemas = document["components"]["schemas"]
    found = set(references(document))
    assert found == {f"#/components/schemas/{name}" for name in schemas}


def references(value: Any) -> list[str]:
    """Every `$ref` within."""
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [each for inner in value.values() for each in references(inner)]
    return [each for inner in value for each in references(inner)] if isinstance(value, list) else []


def test_the_example_of_every_body_is_valid(keys: Keys) -> None:
    described = Gateway.described(keys)
    document = described.app.openapi()
    bodies = 0
    for each in described.routes():
        operation = document["paths"][each.path][each.verb.lower()]
        if each.route.body_field is None:
            assert "requestBody" not in operation
            continue
        example = operation["requestBody"]["content"]["application/json"]["example"]
        _, errors = each.route.body_field.validate(example, {}, loc=("body",))
        assert not errors, (each.path, errors)
        bodies += 1
    assert bodies > 10
