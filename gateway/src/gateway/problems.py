"""Errors of the REST interface: problem details (RFC 9457) with the machine-readable reason and the fields at fault."""

from collections.abc import Sequence
from http import HTTPStatus

import grpc
import structlog
from chassis.errors import Code, FieldViolation, Refusal
from chassis.rpc.errors import RemoteRefusal, remote_refusal
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

_log = structlog.get_logger(__name__)
_STATUS = {
    Code.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    Code.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.ALREADY_EXISTS: HTTPStatus.CONFLICT,
    Code.FAILED_PRECONDITION: HTTPStatus.CONFLICT,
    Code.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    Code.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    Code.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    Code.ABORTED: HTTPStatus.CONFLICT,
    Code.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    Code.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}

# What a field of the contract is called here.
_NAMES = {"request_id": "Idempotency-Key"}


class FieldError(BaseModel):
    """One field of the request and what is wrong with it."""

    field: str
    description: str


class Problem(BaseModel):
    """What went wrong."""

    type: str = Field(default="about:blank", description="Always about:blank; `reason` says which problem it is.")
    title: str = Field(examples=["Conflict"])
    status: int = Field(examples=[409])
    detail: str = Field(examples=["the balance of 500 does not cover 700"])
    reason: str = Field(examples=["INSUFFICIENT_BALANCE"])
    errors: list[FieldError] = []


def problem(
    status: HTTPStatus, reason: str, detail: str, violations: Sequence[FieldViolation] = (), retry_seconds: int = 0
) -> JSONResponse:
    """A problem as a response."""
    errors = [FieldError(field=each.field, description=each.description) for each in violations]
    body = Problem(title=status.phrase, status=status, detail=detail, reason=reason, errors=errors)
    headers = {"Retry-After": str(retry_seconds)} if retry_seconds else {}
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(body.model_dump(), status, headers, media_type="application/problem+json")


def add_problem_handlers(app: FastAPI) -> None:
    """Renders every error of the interface as a problem."""
    app.add_exception_handler(grpc.aio.AioRpcError, _rpc_failed)
    app.add_exception_handler(RemoteRefusal, _refused_elsewhere)
    app.add_exception_handler(Refusal, _refused_here)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def _rpc_failed(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, grpc.aio.AioRpcError)
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return problem(HTTPStatus.GATEWAY_TIMEOUT, "DEADLINE_EXCEEDED", "a service did not answer in time")
    return _remote(remote_refusal(error))


async def _refused_elsewhere(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RemoteRefusal)
    return _remote(error)


def _remote(refusal: RemoteRefusal) -> JSONResponse:
    status = _STATUS[refusal.code]
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        return problem(status, "UNAVAILABLE", "a service is down; trying again with the same key is safe", (), 1)
    retry_seconds = 1 if status is HTTPStatus.TOO_MANY_REQUESTS else 0
    violations = [FieldViolation(_NAMES.get(each.field, each.field), each.description) for each in refusal.violations]
    return problem(status, refusal.reason, refusal.message, violations, retry_seconds)


async def _refused_here(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refusal)
    retry_seconds = 1 if error.code is Code.RESOURCE_EXHAUSTED else 0
    return problem(_STATUS[error.code], error.reason, error.message, error.violations, retry_seconds)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    violations = [FieldViolation(_field(each["loc"]), each["msg"]) for each in error.errors()]
    detail = "; ".join(f"{each.field}: {each.description}" for each in violations)
    return problem(HTTPStatus.BAD_REQUEST, "INVALID_ARGUMENT", detail, violations)


def _field(location: Sequence[int | str]) -> str:
    """`persons[0].phone` for ("body", "persons", 0, "phone"): where it came in is left out, what it is called stays."""
    if location == ("body",) or (location[0] == "body" and isinstance(location[1], int)):
        return "body"
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location[1:])
    return "".join(parts).removeprefix(".")


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    if status is HTTPStatus.BAD_REQUEST:  # raised by the framework alone, for a body that cannot be read
        violation = FieldViolation("body", str(error.detail))
        return problem(status, "INVALID_ARGUMENT", f"body: {error.detail}", [violation])
    response = problem(status, status.name, str(error.detail))
    response.headers.update(error.headers or {})
    return response


def broken(error: Exception) -> JSONResponse:
    """The problem of a fault of our own; the caller learns no more than that it broke."""
    _log.error("request failed", error=type(error).__name__, exc_info=error)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "INTERNAL", "internal error")
