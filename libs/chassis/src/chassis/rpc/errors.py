"""Refusals on the wire: google.rpc.Status with ErrorInfo, and BadRequest where fields are named (AIP-193)."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from chassis.errors import Code, FieldViolation, Refusal

M = TypeVar("M", bound=Message)
R = TypeVar("R", bound=Message)


# A status travels in the trailing metadata, of which callers take 8 KiB: there the message stands a second time,
# with three bytes for each that is not ASCII. What is cut off would otherwise cost the whole answer.
_MESSAGE_BYTES_MAX = 1000
_DESCRIPTION_BYTES_MAX = 500
_VIOLATIONS_BYTES_MAX = 2500


def status_proto(refusal: Refusal, service: str | None = None) -> status_pb2.Status:
    """The status of a refusal; `service` names the domain of the error. Long texts, and long lists, are cut."""
    info = error_details_pb2.ErrorInfo(
        reason=refusal.reason, domain=f"{service or _SERVICE[0]}.touchstone", metadata=refusal.metadata
    )
    message = _cut(refusal.message, _MESSAGE_BYTES_MAX)
    status = status_pb2.Status(code=code_pb2.Code.Value(refusal.code.value), message=message)
    status.details.append(_packed(info))
    if refusal.violations:
        status.details.append(_packed(_bad_request(refusal.violations)))
    return status


def _bad_request(violations: Sequence[FieldViolation]) -> error_details_pb2.BadRequest:
    """The violations, as many of the first as there is room for."""
    bad = error_details_pb2.BadRequest()
    for violation in violations:
        field, description = (_cut(text, _DESCRIPTION_BYTES_MAX) for text in (violation.field, violation.description))
        bad.field_violations.add(field=field, description=description)
        if bad.ByteSize() > _VIOLATIONS_BYTES_MAX:
            break
    return bad


def _cut(text: str, bytes_max: int) -> str:
    encoded = text.encode()
    return text if len(encoded) <= bytes_max else encoded[:bytes_max].decode(errors="ignore") + "…"


_SERVICE = ["unknown"]


def name_service(service: str) -> None:
    """Names the service whose errors this process reports; once, at start."""
    _SERVICE[0] = service


def item_result(result_type: type[R]) -> Callable[[Message | Refusal], R]:
    """Renders the outcome of one item of a batch into its `response` or `error`."""

    def render(outcome: Message | Refusal) -> R:
        result: Any = result_type()
        if isinstance(outcome, Refusal):
            result.error.CopyFrom(status_proto(outcome))
        else:
            result.response.CopyFrom(outcome)
        return result  # type: ignore[no-any-return]

    return render


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


class RemoteRefusal(Exception):
    """What another service answered instead of a reply."""

    def __init__(self, code: Code, reason: str, message: str, violations: tuple[FieldViolation, ...] = ()) -> None:
        super().__init__(f"{code}: {reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message
        self.violations = violations


def remote_refusal(error: grpc.RpcError) -> RemoteRefusal:
    """The refusal inside a failed call; codes that say the service did not answer become UNAVAILABLE."""
    status = rpc_status.from_call(cast(Any, error))
    code = error.code()
    if status is not None:
        return from_status(status)
    known = code.name in Code.__members__
    return RemoteRefusal(Code[code.name] if known else Code.UNAVAILABLE, code.name, str(error.details()))


def from_status(status: status_pb2.Status) -> RemoteRefusal:
    """The refusal inside a status, e.g. of one item of a batch."""
    reason, violations = "", []
    for detail in status.details:
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            info = error_details_pb2.ErrorInfo()
            detail.Unpack(info)
            reason = info.reason
        elif detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            bad = error_details_pb2.BadRequest()
            detail.Unpack(bad)
            violations = [FieldViolation(v.field, v.description) for v in bad.field_violations]
    name = code_pb2.Code.Name(status.code)
    code = Code[name] if name in Code.__members__ else Code.UNAVAILABLE
    return RemoteRefusal(code, reason or name, status.message, tuple(violations))
