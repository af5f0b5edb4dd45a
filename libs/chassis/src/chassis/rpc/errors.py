"""Refusals on the wire: google.rpc.Status with ErrorInfo, and BadRequest where fields are named (AIP-193)."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from chassis.errors import Code, FieldViolation, Refusal

M = TypeVar("M", bound=Message)
R = TypeVar("R", bound=Message)


def status_proto(refusal: Refusal, service: str | None = None) -> status_pb2.Status:
    """The status of a refusal; `service` names the domain of the error."""
    info = error_details_pb2.ErrorInfo(
        reason=refusal.reason, domain=f"{service or _SERVICE[0]}.touchstone", metadata=refusal.metadata
    )
    status = status_pb2.Status(code=code_pb2.Code.Value(refusal.code.value), message=refusal.message)
    status.details.append(_packed(info))
    if refusal.violations:
        bad = error_details_pb2.BadRequest()
        for violation in refusal.violations:
            bad.field_violations.add(field=violation.field, description=violation.description)
        status.details.append(_packed(bad))
    return status


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
