"""The promises between providers and those who call or hear them, read from `examples/`.

The files of a provider that ask for the same settings are one world: a fresh database in which the promises are tried
in the order of the files, each after what it says is `given`. What was given before is not done again.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from chassis.rpc.access import Admission, admission_of
from chassis.tokens import SERVICE_SCOPES, all_scopes
from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

EXAMPLES = Path(__file__).parent / "examples"
PROVIDERS = tuple(name for name in SERVICE_SCOPES if name != "gateway")


@dataclass(frozen=True, slots=True)
class Caller:
    """With what token a call is made; no scopes said means those that the contract admits."""

    scopes: tuple[str, ...] | None = None
    customer_id: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """What a refusal says: its code, its reason, and the fields at fault."""

    code: str
    reason: str
    fields: tuple[str, ...]

    @property
    def by_guard(self) -> bool:
        """Whether the caller is turned away at the door, before the method is reached."""
        return self.code in ("UNAUTHENTICATED", "PERMISSION_DENIED")


@dataclass(frozen=True, slots=True)
class Step:
    """What goes before: a call with a part of its reply, or an event heard."""

    method: str = ""
    request: dict[str, Any] = field(default_factory=dict)
    reply: dict[str, Any] = field(default_factory=dict)
    event: str = ""
    message: dict[str, Any] = field(default_factory=dict)
    source: str = ""

    @property
    def occurred_at(self) -> str:
        """When the event heard happened."""
        inner = next((value for value in self.message.values() if isinstance(value, dict)), {})
        return str(self.message.get("occurred_at") or inner["occurred_at"])


@dataclass(frozen=True, slots=True)
class Told:
    """An event that must have been told by then."""

    event: str
    message: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rest:
    """The same call through the gateway: `part` is the field of the reply that is answered; empty for the whole."""

    call: str
    status: int
    body: dict[str, Any] | None = None
    part: str = ""


@dataclass(frozen=True, slots=True)
class Promise:
    """One promise: after what is given, a request gets this reply or this refusal."""

    provider: str
    file: str
    promise: str
    method: str
    request: dict[str, Any]
    caller: Caller
    given: tuple[Step, ...]
    reply: dict[str, Any] | None
    refusal: Refused | None
    told: tuple[Told, ...]
    rest: Rest | None
    settings: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.file}: {self.promise}"

    @property
    def world(self) -> str:
        """The name of the world it is tried in."""
        return " ".join([self.provider, *(f"{name}={value}" for name, value in self.settings.items())])


@lru_cache(maxsize=1)
def promises() -> tuple[Promise, ...]:
    """Every promise, in the order of the files."""
    return tuple(promise for path in sorted(EXAMPLES.glob("*.json")) for promise in _read(path))


def _read(path: Path) -> Iterator[Promise]:
    world = json.loads(path.read_text(encoding="utf-8"))
    shared = tuple(Step(**step) for step in world.pop("given", ()))
    for raw in world["promises"]:
        refusal = raw.get("refusal")
        scopes = raw.get("scopes")
        yield Promise(
            provider=world["provider"],
            file=path.stem,
            promise=raw["promise"],
            method=raw["method"],
            request=raw["request"],
            caller=Caller(None if scopes is None else tuple(scopes), raw.get("customer_id")),
            given=shared + tuple(Step(**step) for step in raw.get("given", ())),
            reply=raw.get("reply"),
            refusal=None if refusal is None else _refused(**refusal),
            told=tuple(Told(**told) for told in raw.get("told", ())),
            rest=None if "rest" not in raw else Rest(**raw["rest"]),
            settings=world.get("settings", {}),
        )


def _refused(*, code: str, reason: str, fields: list[str]) -> Refused:
    return Refused(code, reason, tuple(fields))


def method_named(name: str) -> MethodDescriptor:
    """The method of the contracts with this full name; KeyError when there is none."""
    all_scopes()  # imports every package of the contracts
    service, _, method = name.rpartition(".")
    return descriptor_pool.Default().FindServiceByName(service).methods_by_name[method]


def admitted(name: str) -> Admission:
    """Who may call a method."""
    return admission_of(method_named(name))


def path_of(name: str) -> str:
    """The path of a method on the wire."""
    service, _, method = name.rpartition(".")
    return f"/{service}/{method}"


def request_of(name: str, body: dict[str, Any]) -> Message:
    """The request of a method from protobuf JSON; an unknown field is an error."""
    return _parsed(method_named(name).input_type, body)


def reply_of(name: str, body: dict[str, Any]) -> Message:
    """The reply of a method from protobuf JSON."""
    return _parsed(method_named(name).output_type, body)


def event_of(name: str, body: dict[str, Any]) -> Message:
    """An event from protobuf JSON."""
    all_scopes()
    return _parsed(descriptor_pool.Default().FindMessageTypeByName(name), body)


def _parsed(descriptor: Any, body: dict[str, Any]) -> Message:
    message: Message = message_factory.GetMessageClass(descriptor)()
    return json_format.ParseDict(body, message)
