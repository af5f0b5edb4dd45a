"""Measures, writes `benchmarks/results.json` and prints it as a table; exit status 1 when a ratio misses its target.

    python benchmarks/run.py            every family
    python benchmarks/run.py ledger     one of them, or several; the environment variable ONLY says the same

A family is a module beside this one with `run() -> list[dict]`. Each is measured in a process of its own, so that its
memory and its threads are no other's. Results of families that were not asked for stay in the file.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

_WIDTH = 170  # where no terminal says its own
HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
FAMILIES = sorted(path.stem for path in HERE.glob("*.py") if path.stem != "run")
# Loaded by its path: a family is named for what it measures, and so would stand before the package of that name.
_MEASURE = """
import importlib.util, json, sys
specification = importlib.util.spec_from_file_location("benchmark", sys.argv[1])
module = sys.modules["benchmark"] = importlib.util.module_from_spec(specification)
specification.loader.exec_module(module)
print(json.dumps(module.run()))
"""


def main(words: Sequence[str]) -> int:
    """Measures what was asked for."""
    wanted = list(words) or os.environ.get("ONLY", "").split() or FAMILIES
    if unknown := sorted(set(wanted) - set(FAMILIES)):
        sys.stderr.write(f"bench: no family {', '.join(unknown)}; there are {', '.join(FAMILIES)}\n")
        return 2
    measured: list[dict[str, Any]] = []
    for family in wanted:
        measured += _measure(family)
    kept = [each for each in _earlier() if each["name"] not in {one["name"] for one in measured}]
    results = sorted(kept + measured, key=lambda each: str(each["name"]))
    RESULTS.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    _show(measured)
    return 0 if all(_reached(each) is not False for each in measured) else 1


def _measure(family: str) -> list[dict[str, Any]]:
    """The family's results, the last line that its process prints."""
    sys.stderr.write(f"measuring {family} …\n")
    command = [sys.executable, "-c", _MEASURE, str(HERE / f"{family}.py")]
    ended = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    results: list[dict[str, Any]] = json.loads(ended.stdout.splitlines()[-1])
    return results


def _earlier() -> list[dict[str, Any]]:
    return list(json.loads(RESULTS.read_text())) if RESULTS.exists() else []


def _reached(result: dict[str, Any]) -> bool | None:
    """Whether the ratio is what is asked; None where nothing is."""
    return None if result.get("target") is None else result["ratio"] >= result["target"]


def _show(results: Sequence[dict[str, Any]]) -> None:
    table = Table("name", "value", "unit", "measured beside it", "its value", "ratio", "target", "", "peak MB")
    for each in results:
        verdict = {None: "", True: "[green]reached", False: "[red]missed"}[_reached(each)]
        numbers = (f"{each['baseline_value']:,}", str(each["ratio"]), str(each.get("target", "")), verdict)
        table.add_row(
            each["name"], f"{each['value']:,}", each["unit"], each["baseline"], *numbers, f"{each['peak_memory_mb']}"
        )
    console = Console()
    Console(width=None if console.is_terminal else _WIDTH).print(table)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
