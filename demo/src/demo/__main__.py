"""`python -m demo`: the platform in a folder of its own, the replay, the report; fails if a check does not hold."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import cyclopts
from chassis import clock
from cyclopts import Parameter
from local import Platform
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from demo.checks import judge, look
from demo.desk import open_desk
from demo.household import judge_household, play, show_household
from demo.partner import listening
from demo.platform import reached
from demo.purchases import PurchaseFile, read_purchases
from demo.replay import replay
from demo.report import show, show_verdicts
from demo.scenario import set_up

app = cyclopts.App(name="demo", help="Replay real purchases through the whole platform.")
# The replay's members pay, shop and look at offers in 1997 and 1998, with tokens of their own.
_REPLAYED = {"TOUCHSTONE_MEMBER_TIME_BACK_SECONDS": str(100 * 365 * 86_400)}
_ENVIRONMENT = {
    # Business time is the replay's: what the calendar asks for is asked for week by week.
    "billing": _REPLAYED | {"TOUCHSTONE_TIMED_WORK": "false"},
    "member": _REPLAYED | {"TOUCHSTONE_TIMED_WORK": "false"},
    # Seconds instead of hours, so that a webhook which failed is tried again before the report.
    "touchpoint": _REPLAYED
    | {
        "TOUCHSTONE_DELIVERY_SCHEDULE_SECONDS": "0,0.5,1,2,4",
        "TOUCHSTONE_ALLOW_PRIVATE_WEBHOOKS": "true",
    },
    "gateway": {"TOUCHSTONE_REQUESTS_PER_MINUTE": "100000"},
}


@app.default
def main(
    *,
    full: Annotated[bool, Parameter(help="All 69,659 purchases instead of the sample.")] = False,
    data: Annotated[Path, Parameter(help="Folder of the demo's own; it is wiped.")] = Path(".local/demo"),
) -> None:
    """Replay, report, and exit with status 1 if a check does not hold. FULL=1 does what --full does."""
    file = PurchaseFile.FULL if full or os.environ.get("FULL") == "1" else PurchaseFile.SAMPLE
    sys.exit(0 if asyncio.run(run(file, data)) else 1)


async def run(file: PurchaseFile, data: Path) -> bool:
    """The whole main job; whether every check holds."""
    console = Console()
    purchases = read_purchases(file)
    console.print(f"starting the platform in {data} …")
    async with (
        Platform(data, wipe=True, extra_env=_ENVIRONMENT) as platform,
        listening() as partner,
        reached(platform) as touchstone,
    ):
        await set_up(touchstone, partner)
        await open_desk(touchstone)
        started = clock.monotonic()
        with _bar(console) as progress:
            task = progress.add_task("purchases", total=len(purchases))
            replayed = await replay(touchstone, file, purchases, lambda n: progress.advance(task, n))
        seconds = clock.monotonic() - started
        seen = await look(touchstone)
        household = await play(touchstone)
    show(console, replayed, seen, partner, seconds=seconds)
    show_household(console, household)
    return show_verdicts(console, [*judge(file, replayed, seen, partner), *judge_household(household)])


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


if __name__ == "__main__":
    app()
