"""The ready-made touchpoints: the data a new database begins with; operators change them and add their own."""

import json
from importlib.resources import files
from typing import Any

from touchpoint.domain.identity import TouchpointCode
from touchpoint.domain.touchpoint import Touchpoint, TouchpointClass


def ready_made_touchpoints() -> tuple[Touchpoint, ...]:
    """The touchpoints of `touchpoints.json`, by code."""
    rows: list[dict[str, Any]] = json.loads(files(__package__).joinpath("touchpoints.json").read_bytes())
    return tuple(
        Touchpoint(
            **row
            | {
                "code": TouchpointCode(row["code"]),
                "touchpoint_class": TouchpointClass(row["touchpoint_class"]),
                "delivery_ways": tuple(row["delivery_ways"]),
            }
        )
        for row in rows
    )
