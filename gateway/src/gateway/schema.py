"""Messages of the contracts as JSON: the shape of every answer comes from the contract itself, written once.

Names stay as in the contract, 64-bit numbers are JSON integers (all of them lie below 2^53), times are RFC 3339,
an enum's value is its name without the prefix, and what is not set though it could be is null.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, ForwardRef, Optional

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
    if is_map(field):
        inner = field.message_type.fields_by_name["value"]
        return {str(key): _value_to_json(inner, value[key]) for key in sorted(value)}
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


def short_names(enum: EnumDescriptor) -> list[str]:
    """The names that may be given: all but the one that says nothing."""
    return [str(value.name).removeprefix(_prefix(enum)) for value in enum.values if value.number]


def is_map(field: Any) -> bool:
    """Whether a field is a map."""
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


FieldOf = Callable[[Any, Any], tuple[Any, Any]]


class Models:
    """Pydantic models of messages: one way of looking at their fields, each model made once.

    `field_of` gets a field and the model of its message, and returns an annotation and a default. A message that holds
    itself, however deep, is known by its model's name until that is made.
    """

    def __init__(self, suffix: str, config: ConfigDict, field_of: FieldOf) -> None:
        self._suffix = suffix
        self._config = config
        self._field_of = field_of
        self._made: dict[tuple[str, frozenset[str]], type[BaseModel]] = {}
        self._begun: set[str] = set()

    def model(self, descriptor: Any, names: frozenset[str] | None = None) -> type[BaseModel]:
        """The model of a message, or of these fields of it."""
        wanted = frozenset(field.name for field in descriptor.fields) if names is None else names
        key = descriptor.full_name, wanted
        if key not in self._made:
            self._begun.add(descriptor.full_name)
            fields: dict[str, Any] = {
                field.name: self._field_of(field, self._nested(field))
                for field in descriptor.fields
                if field.name in wanted
            }
            self._made[key] = create_model(self._name(descriptor), __config__=self._config, **fields)
            self._begun.discard(descriptor.full_name)
            if not self._begun:
                self._settle()
        return self._made[key]

    def _nested(self, field: Any) -> Any:
        """The model of a field's message, its name where it is being made, None where the field is a plain value."""
        descriptor: Descriptor | None = field.message_type
        if is_map(field):
            descriptor = field.message_type.fields_by_name["value"].message_type
        if descriptor is None or descriptor.full_name == _TIMESTAMP:
            return None
        return ForwardRef(self._name(descriptor)) if descriptor.full_name in self._begun else self.model(descriptor)

    def _name(self, descriptor: Descriptor) -> str:
        return descriptor.name + self._suffix

    def _settle(self) -> None:
        """Puts models in the place of names, now that all are made."""
        known = {model.__name__: model for model in self._made.values()}
        for model in self._made.values():
            if not model.__pydantic_complete__:
                model.model_rebuild(_types_namespace=known)


def _answer_field(field: Any, nested: Any) -> tuple[Any, Any]:
    kind: Any = nested or _plain(field.message_type.fields_by_name["value"] if is_map(field) else field)
    if is_map(field):
        kind = dict[str, kind]
    elif field.is_repeated:
        kind = list[kind]
    elif field.has_presence:
        kind = Optional[kind]  # noqa: UP045 - a name of a model that is still being made has no operator |
    return kind, ...


def _plain(field: FieldDescriptor) -> Any:
    return datetime if field.message_type is not None else _KINDS[field.cpp_type]


_ANSWERS = Models("", ConfigDict(extra="forbid"), _answer_field)


def model_of(message_type: type[Message]) -> type[BaseModel]:
    """The pydantic model of an answer, for the interface's description."""
    return _ANSWERS.model(message_type.DESCRIPTOR)
