"""What the methods of a served service are measured beside: an empty method on the same server, and, for batches, their
very statements in pgbench. Theirs and ours run in turns, and the medians of the rounds are compared."""

from statistics import median
from typing import NamedTuple

from benchmarks.serving import (
    IN_FLIGHT,
    Call,
    Measured,
    Servers,
    empty_call,
    in_turns,
    peak_memory_mb,
    rate,
    run_pgbench,
)

BATCH = 100
CLIENTS = 8
"""Batches in flight, and pgbench's clients."""
ROUNDS = 3
ROUND_SECONDS = 5
ROUND = "R#"
"""Stands in a script for the number of the round, which works on rows of its own."""


class Wanted(NamedTuple):
    """A call with the name of its figure, the least ratio that it is to reach, and what it does one or a hundred of."""

    name: str
    call: Call
    target: float
    unit: str = "calls"


class Script(NamedTuple):
    """What pgbench sends, and the database that it sends it to."""

    text: str
    url: str


async def beside_empty_method(
    service: Measured, wanted: list[Wanted], *, rounds: int = ROUNDS, seconds: float = ROUND_SECONDS
) -> list[dict[str, object]]:
    """Calls a second, one by one, with 64 of them in flight."""
    empties, *found = await in_turns(
        [empty_call(service.channel), *(each.call for each in wanted)], rounds=rounds, seconds=seconds
    )
    return [
        {
            "name": each.name,
            "value": round(calls),
            "unit": f"{each.unit}/s",
            "baseline": f"an empty method on the same server behind the same interceptors, {IN_FLIGHT} in flight",
            "baseline_value": round(empties),
            "ratio": round(calls / empties, 3),
            "target": each.target,
            "peak_memory_mb": peak_memory_mb(service.server.pid),
        }
        for each, calls in zip(wanted, found, strict=True)
    ]


async def beside_pgbench(among: Servers, service: Measured, wanted: Wanted, script: Script) -> dict[str, object]:
    """Items a second of a call that carries a batch; the script does the same."""
    await rate(wanted.call, ROUND_SECONDS / 2, in_flight=CLIENTS)
    ours, theirs = [], []
    for number in range(ROUNDS):
        of_round = script.text.replace(ROUND, str(number))
        theirs.append(run_pgbench(among, script.url, of_round, seconds=ROUND_SECONDS, clients=CLIENTS))
        ours.append(await rate(wanted.call, ROUND_SECONDS, in_flight=CLIENTS))
    return {
        "name": wanted.name,
        "value": round(median(ours) * BATCH),
        "unit": f"{wanted.unit}/s",
        "baseline": f"pgbench -M prepared, the same statements, {CLIENTS} clients",
        "baseline_value": round(median(theirs) * BATCH),
        "ratio": round(median(ours) / median(theirs), 3),
        "target": wanted.target,
        "peak_memory_mb": peak_memory_mb(service.server.pid),
    }
