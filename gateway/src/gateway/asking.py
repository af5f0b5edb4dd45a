"""What callers send, read by the contracts: bodies and queries become the fields of a request message.

A body names every field it knows and refuses all others; numbers are not made out of text, nor times out of numbers.
When something happened is part of the request and never filled in here: a repeat must be the same request, and a time
taken at its arrival would make it another one.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Optional

from chassis.times import to_proto
from fastapi import Query
from google.api.field_behavior_pb2 import REQUIRED, field_behavior
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from gateway.contracts import comment_of
from gateway.schema import Models, enum_number, is_map, short_names

# The whole numbers that every JSON reader keeps exactly (RFC 8259, section 6), and those of a 32-bit field.
_EXACT = 2**53 - 1
_INT32 = 2**31 - 1
_SAMPLE = re.compile(r'e\.g\. "([^"]+)"')


def _text_alone(value: object) -> object:
    """Refuses numbers, which would otherwise pass as seconds since 1970."""
    if isinstance(value, str | datetime):
        return value
    raise ValueError("must be a time as text, e.g. 2026-03-01T12:00:00Z")


def _encodable(text: str) -> str:
    """Refuses half a surrogate pair, which JSON can spell and nothing behind the gateway can store."""
    if any(0xD800 <= ord(character) <= 0xDFFF for character in text):
        raise ValueError("must be text that UTF-8 can encode")
    return text


Text = Annotated[str, AfterValidator(_encodable)]
Integer = Annotated[int, Field(ge=-_EXACT, le=_EXACT)]
Count = Annotated[int, Field(ge=-_INT32, le=_INT32)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Instant = Annotated[AwareDatetime, Field(strict=False, examples=["2026-03-01T12:00:00Z"]), BeforeValidator(_text_alone)]
PageSize = Annotated[int, Query(ge=0, le=500, description="At most this many; 0 means 50.")]
PageToken = Annotated[str, Query(max_length=300, description="`next_page_token` of the page before.")]
AsOf = Annotated[AwareDatetime | None, Query(description="The instant to look at; now when left out.")]

_STRICT = ConfigDict(extra="forbid", strict=True)
_KINDS: dict[int, Any] = {
    FieldDescriptor.CPPTYPE_INT32: Count,
    FieldDescriptor.CPPTYPE_UINT32: Count,
    FieldDescriptor.CPPTYPE_INT64: Integer,
    FieldDescriptor.CPPTYPE_UINT64: Integer,
    FieldDescriptor.CPPTYPE_DOUBLE: Number,
    FieldDescriptor.CPPTYPE_FLOAT: Number,
    FieldDescriptor.CPPTYPE_BOOL: bool,
    FieldDescriptor.CPPTYPE_STRING: Text,
}
_EMPTY: dict[int, Any] = {
    FieldDescriptor.CPPTYPE_BOOL: False,
    FieldDescriptor.CPPTYPE_STRING: "",
}


def body_of(descriptor: Any, names: frozenset[str]) -> type[BaseModel]:
    """The model of a body that may have these fields of a message."""
    return _BODIES.model(descriptor, names)


def path_of(field: Any) -> Any:
    """The annotation of a parameter in the path, which is never empty."""
    return _query_kind(field)


def query_of(field: Any) -> tuple[Any, Any]:
    """The annotation of a query parameter and its default, Ellipsis where it must be given."""
    default = ... if _is_required(field) else None
    if field.name == "page_size":
        return PageSize, 0
    if field.name == "page_token":
        return PageToken, ""
    kind: Any = _query_kind(field)
    if field.is_repeated:
        kind = list[kind]
    return Annotated[kind if default is ... else kind | None, Query(description=comment_of(field))], default


def fill(message: Message, values: Mapping[str, Any]) -> None:
    """Puts read values into a message; None stands for what was not given."""
    for name, value in values.items():
        if value is not None:
            _put(message, message.DESCRIPTOR.fields_by_name[name], value)


def optional_time(instant: datetime | None) -> Timestamp | None:
    """The instant, or nothing."""
    return None if instant is None else to_proto(instant)


def _put(message: Message, field: Any, value: Any) -> None:
    target = getattr(message, field.name)
    if isinstance(value, Mapping) and field.is_repeated:
        for key, each in value.items():
            if isinstance(each, Mapping):
                fill(target[key], each)
            else:
                target[key] = each
    elif field.is_repeated and field.message_type is not None:
        for each in value:
            _put_message(target.add(), each)
    elif field.is_repeated:
        target.extend(_scalar(field, each) for each in value)
    elif field.message_type is not None:
        _put_message(target, value)
    else:
        setattr(message, field.name, _scalar(field, value))


def _put_message(message: Message, value: Any) -> None:
    message.SetInParent()
    if isinstance(value, datetime):
        message.CopyFrom(to_proto(value))
    else:
        fill(message, value)


def _scalar(field: FieldDescriptor, value: Any) -> Any:
    return value if field.enum_type is None else enum_number(field.enum_type, value)


def _is_required(field: FieldDescriptor) -> bool:
    """What the contract calls required, and when it happened, always."""
    return field.name == "occurred_at" or REQUIRED in field.GetOptions().Extensions[field_behavior]


def _body_field(field: Any, nested: Any) -> tuple[Any, Any]:
    """A field's annotation and default; `nested` is the model of its message, where it has one of its own."""
    comment = comment_of(field)
    about: dict[str, Any] = {"description": comment or None}
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING and not field.is_repeated:
        about["examples"] = _SAMPLE.findall(comment) or None
    kind: Any = nested or _kind(field.message_type.fields_by_name["value"] if is_map(field) else field)
    empty: Any = _EMPTY.get(field.cpp_type, 0)
    if is_map(field):
        kind, empty = dict[str, kind], {}
    elif field.is_repeated:
        kind, empty = list[kind], []
    elif (field.has_presence or field.enum_type is not None) and not _is_required(field):
        kind, empty = Optional[kind], None  # noqa: UP045 - a name of a model that is still being made has no operator |
    return kind, Field(**about) if _is_required(field) else Field(default=empty, **about)


def _kind(field: FieldDescriptor) -> Any:
    if field.message_type is not None:
        return Instant
    return _choice(field.enum_type) if field.enum_type is not None else _KINDS[field.cpp_type]


def _query_kind(field: FieldDescriptor) -> Any:
    """As in a body; a time in a query is text by nature."""
    return AwareDatetime if field.message_type is not None else _kind(field)


def _choice(enum: EnumDescriptor) -> Any:
    return Literal[tuple(short_names(enum))]


_BODIES = Models("Body", _STRICT, _body_field)
