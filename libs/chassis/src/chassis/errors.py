"""What a domain refuses: one hierarchy, known to every service and rendered in one place (`chassis.rpc.errors`).

A refusal is an answer, not an accident: it names its reason, says it in words, and leaves nothing behind.
Stdlib only, so that every domain may import it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class Code(StrEnum):
    """The gRPC status a refusal is answered with, by name."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    ABORTED = "ABORTED"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field of a request and what is wrong with it."""

    field: str
    description: str


class Refusal(Exception):
    """Base of everything that is refused. `reason` is the class's name in UPPER_SNAKE."""

    code: ClassVar[Code] = Code.FAILED_PRECONDITION

    def __init__(self, message: str, **metadata: str) -> None:
        super().__init__(message)
        self.message = message
        self.metadata = metadata
        self.violations: tuple[FieldViolation, ...] = ()

    @property
    def reason(self) -> str:
        """The machine-readable reason, e.g. INSUFFICIENT_BALANCE."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).upper()


class InvalidArgument(Refusal):
    """A field of the request is not what it must be, whatever the state of the system."""

    code = Code.INVALID_ARGUMENT

    def __init__(self, field: str, description: str) -> None:
        super().__init__(f"{field}: {description}")
        self.violations = (FieldViolation(field, description),)

    @classmethod
    def many(cls, violations: Iterable[FieldViolation]) -> "InvalidArgument":
        """One refusal that names several fields."""
        found = tuple(violations)
        refusal = cls(found[0].field, found[0].description)
        refusal.violations = found
        refusal.message = "; ".join(f"{each.field}: {each.description}" for each in found)
        return refusal

    def under(self, prefix: str) -> "InvalidArgument":
        """The same refusal for a message nested in another's field `prefix`."""
        return InvalidArgument.many(FieldViolation(f"{prefix}.{v.field}", v.description) for v in self.violations)


class NotFound(Refusal):
    """What was named does not exist, or is not the caller's to see: the answer is the same."""

    code = Code.NOT_FOUND


class AlreadyExists(Refusal):
    """What is to be made exists already."""

    code = Code.ALREADY_EXISTS


class PermissionDenied(Refusal):
    """The caller is known and may not do this."""

    code = Code.PERMISSION_DENIED


class Unauthenticated(Refusal):
    """The caller did not prove who it is."""

    code = Code.UNAUTHENTICATED


class ResourceExhausted(Refusal):
    """A limit is reached; trying later may help."""

    code = Code.RESOURCE_EXHAUSTED


class Unavailable(Refusal):
    """A part that is needed is down; trying again is safe."""

    code = Code.UNAVAILABLE


class RequestIdReused(Refusal):
    """A request id came back with another body; the first one stands and the second did nothing."""

    code = Code.INVALID_ARGUMENT

    def __init__(self, request_id: str) -> None:
        super().__init__(f"request_id {request_id!r} was used before with another body", request_id=request_id)
        self.violations = (FieldViolation("request_id", "was used before with another body"),)


class InternalError(Refusal):
    """Something broke that is no answer to the request; the cause is in the log, not in the reply."""

    code = Code.INTERNAL

    def __init__(self) -> None:
        super().__init__("internal error")
