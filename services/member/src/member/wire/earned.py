"""What rules gave, and the names of enums that the domain has too, between protobuf and the domain."""

from enum import StrEnum
from typing import Any

from chassis.errors import InvalidArgument
from touchstone.member.v1 import earning_pb2

from member.domain.kinds import EarnClass


def earn_class_from_proto(field: str, earn_class: int) -> EarnClass:
    """A sort of points, or InvalidArgument naming the field."""
    return EarnClass(name_from_proto(field, earning_pb2.EarnClass, earn_class))


def parts_to_proto(rule: str, parts: str, points: int) -> list[earning_pb2.EarnedPart]:
    """The parts of an entry as its metadata has them: `parts` where there is more to say than the one `rule`."""
    if parts:
        return [_part_to_proto(*written.split("=")) for written in parts.split(" ")]
    return [_part_to_proto(rule, str(points))] if rule else []


def name_from_proto(field: str, enum: Any, value: int) -> str:
    """The domain's name of a value of an enum, which is the proto's without its prefix and in small letters; or
    InvalidArgument naming the field."""
    if value not in enum.values() or value == 0:
        raise InvalidArgument(field, "is required" if value == 0 else "is not known")
    return str(enum.Name(value)).removeprefix(_prefix(enum)).lower()


def name_to_proto(enum: Any, value: StrEnum) -> Any:
    """The value of an enum that has the domain's name."""
    return enum.Value(_prefix(enum) + value.value.upper())


def _part_to_proto(rule: str, points: str) -> earning_pb2.EarnedPart:
    rule_id, _, version = rule.partition("@")
    given, _, asked = points.partition("/")
    return earning_pb2.EarnedPart(
        rule_id=rule_id, version=int(version or 0), points=int(given), cut=int(asked or given) - int(given)
    )


def _prefix(enum: Any) -> str:
    return str(enum.Name(0)).removesuffix("UNSPECIFIED")
