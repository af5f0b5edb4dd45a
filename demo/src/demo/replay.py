"""The replay, week by week on business time: send, wait until all is quiet, run the jobs, score when it is due."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby

from touchstone.scoring.v1 import scoring_pb2

from demo.boss import Boss
from demo.desk import GIFTS_AFTER_WEEKS, Desk
from demo.platform import Touchstone
from demo.purchases import Purchase, PurchaseFile
from demo.visits import Visits

FIRST_DAY = date(1997, 1, 1)
CALIBRATION_WEEKS = 39


@dataclass(slots=True)
class Replayed:
    """What the replay did, from the replies it got."""

    purchases: Sequence[Purchase]
    desk: Desk
    weeks: int = 0
    bills_paid: int = 0
    app_recharges: int = 0
    runs: list[scoring_pb2.Run] = field(default_factory=list)


def weeks_of(purchases: Sequence[Purchase]) -> Iterator[tuple[int, list[Purchase]]]:
    """The purchases of each week from the first day on, in order of day and line; weeks without any are empty."""
    by_week: dict[int, list[Purchase]] = {}
    for each in sorted(purchases, key=lambda purchase: (purchase.day, purchase.line)):
        by_week.setdefault((each.day - FIRST_DAY).days // 7, []).append(each)
    for week in range(max(by_week) + 1):
        yield week, by_week.get(week, [])


async def replay(
    touchstone: Touchstone, file: PurchaseFile, purchases: Sequence[Purchase], advance: Callable[[int], None]
) -> Replayed:
    """Replays all purchases; `advance` hears how many more are done."""
    boss, desk = Boss(touchstone, file), Desk(touchstone)
    visits, done = Visits(touchstone, desk), Replayed(purchases, desk)
    last_week = max((each.day - FIRST_DAY).days // 7 for each in purchases)
    for week, of_week in weeks_of(purchases):
        newcomers = {each.customer: each for each in reversed(of_week) if f"a-{each.customer}" not in boss.balances}
        await boss.register(list(newcomers.values()))
        for _, of_day in groupby(of_week, key=lambda each: each.day):
            sold = list(of_day)
            await desk.redeem(sold)
            await boss.sell(sold)
            advance(len(sold))
        await touchstone.quiet()
        end = datetime.combine(FIRST_DAY + timedelta(days=7 * (week + 1)), time(), tzinfo=UTC)
        await visits.visit(sorted({f"c-{each.customer}" for each in of_week}), end)
        await desk.run_jobs(end)
        await boss.run_jobs(end)
        if week + 1 == GIFTS_AFTER_WEEKS:
            await desk.give([f"c-{account.removeprefix('a-')}" for account in boss.balances], end)
        done.bills_paid += await boss.pay_bills(end)
        if week + 1 == CALIBRATION_WEEKS or week == last_week:
            await touchstone.quiet()
            done.runs.append(await boss.score(end))
        done.weeks += 1
    await touchstone.quiet()
    last = datetime.combine(FIRST_DAY + timedelta(days=7 * (last_week + 2)), time(), tzinfo=UTC)
    await desk.run_jobs(last)
    await boss.run_jobs(last)
    await touchstone.quiet()
    done.app_recharges = boss.app_recharges
    return done
