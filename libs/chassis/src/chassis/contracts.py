"""The contracts as Python knows them: every generated module, found and not listed."""

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from types import ModuleType

import touchstone
from google.protobuf.descriptor import ServiceDescriptor


@cache
def contract_modules() -> tuple[ModuleType, ...]:
    """The modules of messages, all loaded: what they describe can then be found by its name."""
    found = pkgutil.walk_packages(touchstone.__path__, "touchstone.")
    return tuple(importlib.import_module(each.name) for each in found if each.name.endswith("_pb2"))


def services() -> Iterator[ServiceDescriptor]:
    """Every service of the contracts."""
    for module in contract_modules():
        yield from module.DESCRIPTOR.services_by_name.values()
