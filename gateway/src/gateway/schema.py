"""Messages of the contracts as JSON: the shape of every answer comes from the contract itself, written once.

Names stay as in the contract, 64-bit numbers are JSON integers (all of them lie below 2^53), times are RFC 3339,
an enum's value is its name without the prefix, and what is not set though it could be is null.
"""

from datetime import datetime
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from pydantic import BaseModel, ConfigDict, create_model

_TIMESTAMP = "google.protobuf.Timestamp"
_KINDS: dict[int, type] = {
    FieldDescriptor.CPPTYPE_INT32: int,
    FieldDescriptor.CPPTYPE_INT64: int,
    FieldDescriptor.CPPTYPE_UINT32: int,
    FieldDescriptor.CPPTYPE_UINT64: int,
    FieldDescriptor.CPPTYPE_DOUBLE: float,
    FieldDescriptor.CPPTYPE_FLOAT: float,
    FieldDescriptor.CPPTYPE_BOOL: bool,
    FieldDescriptor.CPPTYPE_STRING: str,
    FieldDescriptor.CPPTYPE_ENUM: str,
}


def to_json(message: Message) -> dict[str, Any]:
    """The message as JSON values, every field present."""
    return {field.name: _field_to_json(message, field) for field in message.DESCRIPTOR.fields}


def _field_to_json(message: Message, field: Any) -> Any:
    value = getattr(message, field.name)
    if field.is_repeated:
        return [_value_to_json(field, each) for each in value]
    if field.has_presence and not message.HasField(field.name):
        return None
    return _value_to_json(field, value)


def _value_to_json(field: Any, value: Any) -> Any:
    if field.message_type is None:
        return _enum_name(field.enum_type, value) if field.enum_type is not None else value
    if field.message_type.full_name == _TIMESTAMP:
        return value.ToJsonString()
    return to_json(value)


def _enum_name(enum: EnumDescriptor, number: int) -> str:
    """OPEN for BILL_STATE_OPEN: the prefix repeats what the field's name says. A number that a newer service may
    send before this gateway knows its name stays a number."""
    known = enum.values_by_number.get(number)
    return str(number) if known is None else str(known.name).removeprefix(_prefix(enum))


def enum_number(enum: EnumDescriptor, name: str) -> int:
    """The number of a value by its short name; KeyError when there is none."""
    return int(enum.values_by_name[_prefix(enum) + name].number)


def _prefix(enum: EnumDescriptor) -> str:
    return str(enum.values_by_number[0].name).removesuffix("UNSPECIFIED")


@cache
def model_of(message_type: type[Message]) -> type[BaseModel]:
    """The pydantic model of an answer, for the interface's description."""
    return _model(message_type.DESCRIPTOR)


@cache
def _model(descriptor: Descriptor) -> type[BaseModel]:
    fields: dict[str, Any] = {field.name: (_annotation(field), ...) for field in descriptor.fields}
    return create_model(descriptor.name, __config__=ConfigDict(extra="forbid"), **fields)


def _annotation(field: FieldDescriptor) -> Any:
    if field.message_type is None:
        kind: Any = _KINDS[field.cpp_type]
    elif field.message_type.full_name == _TIMESTAMP:
        kind = datetime
    else:
        kind = _model(field.message_type)
    if field.is_repeated:
        return list[kind]
    return kind | None if field.has_presence else kind
