"""Routes made from the contracts: a verb, a path and the method that stands behind it, and nothing twice.

The method's request says what a caller may send: fields named in the path come from there, `request_id` is the
`Idempotency-Key`, and the others are the query of a GET and the body of everything else. Its comments are the
description, its access option says who is let in, and its reply is the answer. Where a request carries a whole resource
(`PutX{request_id, x}`), `into` names that field: the body is then the resource itself; `part` does so for the reply.
"""

import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.message import Message

from gateway.admission import Key, To, admits
from gateway.asking import body_of, fill, path_of, query_of
from gateway.contracts import comment_of, method_named
from gateway.schema import model_of, to_json
from gateway.services import Services

_PATH_FIELD = re.compile(r"{(\w+)}")
_REQUEST_ID = "request_id"


@dataclass(frozen=True, slots=True)
class Route:
    """One route. `method` is named from its package on, e.g. `member.v1.PointsService.HoldPoints`."""

    verb: str
    path: str
    method: str
    part: str = ""
    into: str = ""
    status: int = 200
    name: str = ""


def get(path: str, method: str, *, part: str = "", name: str = "") -> Route:
    """Reads."""
    return Route("GET", path, method, part, name=name)


def put(path: str, method: str, *, part: str = "", into: str = "", name: str = "") -> Route:
    """Puts what the path names."""
    return Route("PUT", path, method, part, into, name=name)


def post(path: str, method: str, *, part: str = "", into: str = "", name: str = "") -> Route:
    """Does something, whose outcome is the answer."""
    return Route("POST", path, method, part, into, name=name)


def create(path: str, method: str, *, part: str = "", into: str = "", name: str = "") -> Route:
    """Makes something new below the path: 201."""
    return Route("POST", path, method, part, into, status=201, name=name)


def delete(path: str, method: str, *, part: str = "", name: str = "") -> Route:
    """Takes away or gives up what the path names; what else the request needs stands in the query."""
    return Route("DELETE", path, method, part, name=name)


def router_under(prefix: str, tag: str, *, described: bool = True) -> APIRouter:
    """A router whose routes stand in the application as they are made here. An operation is named as its function,
    which is unique and reads well in generated clients."""
    return APIRouter(
        prefix=prefix,
        tags=[tag],
        include_in_schema=described,
        generate_unique_id_function=lambda route: route.name,
        # Stands in for every status not named; without it the framework describes an answer that is never given.
        responses={"default": {"description": "Any other problem"}},
    )


def router_of(tag: str, routes: Iterable[Route]) -> APIRouter:
    """The routes under a tag; ValueError for one that its method could not serve."""
    router = router_under("/v1", tag)
    for route in routes:
        method = method_named(route.method)
        reply_type = message_factory.GetMessageClass(_part(method, route))
        router.add_api_route(
            route.path,
            _endpoint(route, method),
            methods=[route.verb],
            name=route.name or _snake(method.name),
            description=comment_of(method),
            dependencies=[admits(route.method)],
            response_model=model_of(reply_type),
            status_code=route.status,
        )
    return router


def _endpoint(route: Route, method: MethodDescriptor) -> Callable[..., Any]:
    """What FastAPI calls: its signature says what the request may carry."""
    request_type: Any = message_factory.GetMessageClass(method.input_type)
    in_path = _PATH_FIELD.findall(route.path)
    parameters = _parameters(route, method.input_type, in_path)

    async def answer(to: Services, **given: Any) -> Any:
        request: Message = request_type()
        target = getattr(request, route.into) if route.into else request
        if route.into:
            target.SetInParent()
        body = given.pop("body", None)
        if body is not None:
            fill(target, body.model_dump(exclude_unset=True))
        if "key" in given:
            fill(request, {_REQUEST_ID: given.pop("key")})
        for name, value in given.items():
            fill(request if name in request.DESCRIPTOR.fields_by_name else target, {name: value})
        reply = await to.call(route.method, request)
        return to_json(getattr(reply, route.part) if route.part else reply)

    answer.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return answer


def _parameters(route: Route, request: Any, in_path: list[str]) -> list[inspect.Parameter]:
    sent = request.fields_by_name[route.into].message_type if route.into else request
    found = {field.name: field for field in (*sent.fields, *request.fields)}
    for name in in_path:
        if name not in found:
            raise ValueError(f"{route.path}: {route.method} has no field {name}")
    left = [field for field in sent.fields if field.name not in (*in_path, _REQUEST_ID)]
    parameters = [_parameter(name, path_of(found[name])) for name in in_path]
    if _REQUEST_ID in request.fields_by_name:
        parameters.append(_parameter("key", Key))
    if route.verb in ("GET", "DELETE"):
        parameters += [_parameter(field.name, *query_of(field)) for field in left]
    elif left:
        parameters.append(_parameter("body", body_of(sent, frozenset(field.name for field in left))))
    parameters.append(_parameter("to", To))
    return parameters


def _parameter(name: str, annotation: Any, default: Any = ...) -> inspect.Parameter:
    given = inspect.Parameter.empty if default is ... else default
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=given, annotation=annotation)


def _part(method: Any, route: Route) -> Descriptor:
    reply: Any = method.output_type
    answered: Descriptor = reply.fields_by_name[route.part].message_type if route.part else reply
    return answered


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
