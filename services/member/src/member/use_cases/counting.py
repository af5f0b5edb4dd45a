"""Judge what members did of tasks, give what it earned, and write it down.

Whatever comes in a batch takes three steps: locks (the books of the members, then proofs, then budgets, then the
accounts of the ledger, each in the order of ids), judging in memory in the order of the batch, and writing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import accumulate

from chassis.calendar import Calendar
from chassis.errors import Refusal
from chassis.work import Transaction

from member.domain.kinds import PointsKind
from member.domain.membership import Member
from member.domain.progress import (
    Book,
    Done,
    Purse,
    TaskRecord,
    TaskStanding,
    Withheld,
    WithheldReason,
    record,
    standing,
)
from member.domain.reward import Reward, RewardGiven
from member.domain.streak import Milestone
from member.domain.task import StreakReached, Task, TaskCompleted, TaskId
from member.store import Connection, tasks
from member.store import progress as store
from member.use_cases.rewards import GiveReward, give_rewards


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a record came to, and where the member stands after it; `done` may have counted nothing."""

    done: Done
    given: tuple[RewardGiven, ...]
    withheld: tuple[Withheld, ...]
    standing: TaskStanding


@dataclass(slots=True)
class Doing:
    """One thing done, on its way: what it came to, and its rewards by their places among all that are to be given."""

    source: str
    task: Task
    member: Member
    occurred_at: datetime
    day: date
    times: int = 1
    proof_id: str = ""
    done: Done = field(default_factory=Done)
    after: TaskStanding | None = None
    rewards: list[tuple[Milestone | None, Reward]] = field(default_factory=list)
    given: list[tuple[Milestone | None, RewardGiven]] = field(default_factory=list)
    withheld: list[Withheld] = field(default_factory=list)

    @property
    def key(self) -> store.BookKey:
        return self.task.task_id, self.member.member_id


async def count_doings(
    transaction: Transaction, wanted: Sequence[Doing | Refusal], *, calendar: Calendar
) -> list[Recorded | Refusal]:
    """Count what was done, and give what it earned; what was refused before stays refused."""
    doings = [doing for doing in wanted if isinstance(doing, Doing)]
    if doings:
        asked = [store.DaysAsked(doing.key, *doing.task.days_asked(doing.day)) for doing in doings]
        books = await store.find_books_for_update(transaction.connection, asked)
        fresh = await _fresh(transaction, doings)
        purses = await _judge(transaction.connection, doings, fresh, books)
        await _give(transaction, doings, purses, calendar=calendar)
        await _save(transaction, doings, books, purses)
    return [doing if isinstance(doing, Refusal) else _recorded(doing) for doing in wanted]


async def _fresh(transaction: Transaction, doings: Sequence[Doing]) -> set[int]:
    """Places of what was not recorded before, by its source or its proof: of several with one proof, the first."""
    known = await store.find_sources(transaction.connection, {doing.source for doing in doings})
    new = {place: doing for place, doing in enumerate(doings) if doing.source not in known}
    proofs: dict[tuple[TaskId, str], int] = {}
    for place, doing in new.items():
        if doing.proof_id:
            proofs.setdefault((doing.task.task_id, doing.proof_id), place)
    claimed = await store.claim_proofs(transaction.connection, sorted(proofs), recorded_at=transaction.recorded_at)
    proven = {place for proof, place in proofs.items() if proof in claimed}
    return {place for place, doing in new.items() if not doing.proof_id or place in proven}


async def _judge(
    connection: Connection, doings: Sequence[Doing], fresh: set[int], books: dict[store.BookKey, Book]
) -> dict[TaskId, Purse]:
    """What each comes to, in order, and what it earns; returns the budgets that bear it."""
    budgeted = {doing.task.task_id: doing.task for doing in doings if doing.task.has_budget}
    purses = await tasks.find_purses_for_update(connection, budgeted)
    for place, doing in enumerate(doings):
        book = books[doing.key]
        if place in fresh:
            doing.done = record(doing.task, book, doing.day, times=doing.times)
        doing.after = standing(doing.task, book, doing.day)
        for milestone, reward in _earned(doing):
            purse = purses.get(doing.task.task_id)
            if purse is None or purse.take(reward):
                doing.rewards.append((milestone, reward))
            else:
                doing.withheld.append(Withheld(reward, WithheldReason.BUDGET_SPENT))
    return purses


def _earned(doing: Doing) -> list[tuple[Milestone | None, Reward]]:
    rewards: list[tuple[Milestone | None, Reward]] = []
    if doing.task.reward is not None:
        rewards += [(None, doing.task.reward)] * doing.done.completions
    return [*rewards, *((milestone, milestone.reward) for milestone in doing.done.milestones)]


async def _give(
    transaction: Transaction, doings: Sequence[Doing], purses: dict[TaskId, Purse], *, calendar: Calendar
) -> None:
    """Give everything in one go; what cannot be given goes back into its budget."""
    commands = [_command(doing, number) for doing in doings for number in range(len(doing.rewards))]
    outcomes = await give_rewards(transaction, commands, calendar=calendar)
    ends = list(accumulate(len(doing.rewards) for doing in doings))
    for doing, end in zip(doings, ends, strict=True):
        mine = outcomes[end - len(doing.rewards) : end]
        for (milestone, reward), outcome in zip(doing.rewards, mine, strict=True):
            if isinstance(outcome, RewardGiven):
                doing.given.append((milestone, outcome))
                continue
            doing.withheld.append(Withheld(reward, WithheldReason.NOT_AVAILABLE))
            if purse := purses.get(doing.task.task_id):
                purse.put_back(reward)


async def _save(
    transaction: Transaction,
    doings: Sequence[Doing],
    books: dict[store.BookKey, Book],
    purses: dict[TaskId, Purse],
) -> None:
    counted = [doing for doing in doings if not doing.done.already_done]
    if not counted:
        return
    connection = transaction.connection
    changed = {doing.key: books[doing.key] for doing in counted}
    await store.save_books(connection, changed, {(doing.key, doing.day) for doing in counted})
    await tasks.save_purses(connection, purses)
    records = [_task_record(doing) for doing in counted]
    await store.insert_records(connection, records, recorded_at=transaction.recorded_at)
    for doing in counted:
        _tell(transaction, doing)


def _tell(transaction: Transaction, doing: Doing) -> None:
    task, member = doing.task, doing.member
    if doing.done.completions:
        points, coupons = _sums(doing, None)
        transaction.emit(
            TaskCompleted(
                task.task_id,
                task.kind,
                member.member_id,
                member.holder,
                doing.done.completions,
                points=points,
                coupons=coupons,
                occurred_at=doing.occurred_at,
            )
        )
    for milestone in doing.done.milestones:
        points, coupons = _sums(doing, milestone)
        transaction.emit(
            StreakReached(
                task.task_id,
                member.member_id,
                member.holder,
                milestone.days,
                points=points,
                coupons=coupons,
                occurred_at=doing.occurred_at,
            )
        )


def _sums(doing: Doing, of: Milestone | None) -> tuple[int, int]:
    """Points and coupons given for a milestone, or for completing the task."""
    given = [reward for milestone, reward in doing.given if milestone is of]
    return sum(reward.points for reward in given), sum(bool(reward.coupon_id) for reward in given)


def _command(doing: Doing, number: int) -> GiveReward:
    _, reward = doing.rewards[number]
    return GiveReward(
        source=f"{doing.source}/{number}",
        holder=doing.member.holder,
        reward=reward,
        kind=PointsKind.EARN_TASK,
        reason=doing.task.title,
        rule_id=f"task:{doing.task.task_id}@{doing.task.version}",
        occurred_at=doing.occurred_at,
    )


def _task_record(doing: Doing) -> TaskRecord:
    return TaskRecord(
        doing.source,
        doing.task.task_id,
        doing.task.version,
        doing.member.member_id,
        doing.member.holder,
        doing.occurred_at,
        doing.day,
        doing.done,
        doing.proof_id,
        given=tuple(given for _, given in doing.given),
        withheld=tuple(doing.withheld),
    )


def _recorded(doing: Doing) -> Recorded:
    assert doing.after is not None, "everything begun was judged"
    given = tuple(given for _, given in doing.given)
    return Recorded(doing.done, given, tuple(doing.withheld), doing.after)
