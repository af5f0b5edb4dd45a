"""The small language in which examples speak of values that a provider makes.

`<id>`, `<token>`, `<time>`, `<text>`, `<int>`, `<number>` and `<any>` stand for a value of that kind. `<bill:id>` also
gives it a name, and from then on `<bill>` is that very value, in requests as well. Everything else stands for itself.
"""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

Bound = dict[str, Any]

_PLACE = re.compile(r"<(?:(?P<name>[a-z_]+):)?(?P<what>[a-z_]+)>")
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\Z")


def _is_time(value: Any) -> bool:
    return isinstance(value, str) and value.endswith("Z") and datetime.fromisoformat(value).tzinfo is not None


KINDS: dict[str, Callable[[Any], bool]] = {
    "id": lambda value: isinstance(value, str) and 1 <= len(value) <= 128,
    "token": lambda value: isinstance(value, str) and _TOKEN.match(value) is not None,
    "time": _is_time,
    "text": lambda value: isinstance(value, str) and value.strip() != "",
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "any": lambda _: True,
}
# What a fake says where the provider would make a value.
_SAMPLES: dict[str, Any] = {
    "id": "made-0",
    "token": "bWFkZQ",
    "time": "2026-03-01T12:00:00Z",
    "text": "some text",
    "int": 7,
    "number": 0.5,
    "any": "anything",
}


def plain(message: Message) -> dict[str, Any]:
    """What is set in a message as protobuf JSON spells it, but with 64-bit numbers as numbers."""
    return {field.name: _plain_field(field, value) for field, value in message.ListFields()}


def _plain_field(field: FieldDescriptor, value: Any) -> Any:
    described: Any = field
    if described.message_type is not None and described.message_type.GetOptions().map_entry:
        inner = described.message_type.fields_by_name["value"]
        return {str(key): _plain_value(inner, value[key]) for key in sorted(value)}
    if described.is_repeated:
        return [_plain_value(field, each) for each in value]
    return _plain_value(field, value)


def _plain_value(field: Any, value: Any) -> Any:
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    if field.message_type is None:
        return value
    return value.ToJsonString() if field.message_type.full_name == "google.protobuf.Timestamp" else plain(value)


def differences(expected: Any, found: Any, bound: Bound, *, partial: bool = False, at: str = "") -> Iterator[str]:
    """Where a value is not what an example says. `partial` lets it have fields that the example leaves out."""
    place = _PLACE.fullmatch(expected) if isinstance(expected, str) else None
    if place is not None:
        yield from _misfit(place, found, bound, at)
    elif isinstance(expected, dict) and isinstance(found, dict):
        for name in expected.keys() | (found.keys() if not partial else set()):
            if name not in expected or name not in found:
                yield f"{at}.{name} is {'missing' if name in expected else 'not in the example'}"
            else:
                yield from differences(expected[name], found[name], bound, partial=partial, at=f"{at}.{name}")
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, (one, other) in enumerate(zip(expected, found, strict=True)):
            yield from differences(one, other, bound, partial=partial, at=f"{at}[{index}]")
    elif expected != found:
        yield f"{at} is {found!r} instead of {expected!r}"


def _misfit(place: re.Match[str], found: Any, bound: Bound, at: str) -> Iterator[str]:
    name, what = place["name"], place["what"]
    if what not in KINDS:
        if found != bound[what]:
            yield f"{at} is {found!r} instead of {what} = {bound[what]!r}"
    elif not KINDS[what](found):
        yield f"{at} is {found!r}, which is no {what}"
    elif name is not None:
        bound[name] = found


def filled(pattern: Any, bound: Bound) -> Any:
    """A request with the values that were named before; within a longer text too."""
    if isinstance(pattern, dict):
        return {name: filled(value, bound) for name, value in pattern.items()}
    if isinstance(pattern, list):
        return [filled(value, bound) for value in pattern]
    if not isinstance(pattern, str):
        return pattern
    whole = _PLACE.fullmatch(pattern)
    return bound[whole["what"]] if whole else _PLACE.sub(lambda place: str(bound[place["what"]]), pattern)


def sampled(pattern: Any, bound: Bound) -> Any:
    """A reply as a fake gives it: a sample where the provider would make a value."""
    if isinstance(pattern, dict):
        return {name: sampled(value, bound) for name, value in pattern.items()}
    if isinstance(pattern, list):
        return [sampled(value, bound) for value in pattern]
    place = _PLACE.fullmatch(pattern) if isinstance(pattern, str) else None
    if place is None:
        return pattern
    if place["what"] not in KINDS:
        return bound[place["what"]]
    value = _SAMPLES[place["what"]]
    if place["name"] is not None:
        value = bound[place["name"]] = f"made-{place['name']}" if place["what"] in ("id", "token") else value
    return value
