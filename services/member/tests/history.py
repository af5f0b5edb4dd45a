"""Answers as callers saw them, held against the books: put in order of the account's versions they replay it."""

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from chassis.work import Work

from services.member.tests.factories import rows


class Seen(NamedTuple):
    """What one answer said about one account after the act."""

    account: str
    version: int
    balance: int
    held: int


async def check_history(work: Work, seen: Iterable[Seen]) -> int:
    """Replays every account from its entries, dense from version 1, and finds each answer equal to the state at its
    version. Returns how many entries were replayed."""
    entries = await rows(
        work,
        """SELECT account_id, account_version, amount, held_change FROM ledger_entries
           WHERE account_version IS NOT NULL ORDER BY account_id, account_version""",
    )
    states: dict[tuple[str, int], tuple[int, int]] = {}
    account, version, balance, held = "", 0, 0, 0
    for of, step, amount, held_change in entries:
        if of != account:
            account, version, balance, held = of, 0, 0, 0
        assert step == version + 1, f"{of} jumps from {version} to {step}"
        version, balance, held = step, balance + amount, held + held_change
        states[account, version] = (balance, held)
    answers = sorted(seen)
    for answer in answers:
        assert states.get((answer.account, answer.version)) == (answer.balance, answer.held), answer
    for before, after in pairwise(answers):
        same = before.account == after.account and before.version == after.version
        assert not same or before == after, "two answers name one version and differ"
    return len(entries)
