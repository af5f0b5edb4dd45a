"""Typed values of attributes and tags."""

from chassis.errors import InvalidArgument
from touchstone.common.v1.intake_pb2 import Value

from campaign.domain.catalogue import Scalar


def value_to_proto(value: Scalar) -> Value:
    """The value in the member of its own type; a bool is an int in Python, so it is asked for first."""
    match value:
        case bool():
            return Value(bool_value=value)
        case int():
            return Value(int_value=value)
        case float():
            return Value(double_value=value)
        case str():
            return Value(string_value=value)


def value_from_proto(value: Value, field: str) -> Scalar:
    """Refuse a value that is not set."""
    kind = value.WhichOneof("kind")
    if kind is None:
        raise InvalidArgument(field, "has no value")
    found: Scalar = getattr(value, kind)
    return found
