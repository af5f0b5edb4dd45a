"""The contracts as the gateway reads them: methods by name, and what their comments say."""

import json
from functools import cache
from importlib import resources
from typing import Any

from chassis.contracts import contract_modules
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor


def method_named(method: str) -> MethodDescriptor:
    """A method of the contracts, e.g. `member.v1.PointsService.HoldPoints`; KeyError when there is none."""
    contract_modules()
    service, _, name = f"touchstone.{method}".rpartition(".")
    found: MethodDescriptor = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
    return found


def comment_of(described: Any) -> str:
    """What the contract says of a method, a message or a field."""
    return _comments().get(described.full_name, "")


@cache
def _comments() -> dict[str, str]:
    comments: dict[str, str] = json.loads((resources.files("touchstone") / "comments.json").read_text("utf-8"))
    return comments
