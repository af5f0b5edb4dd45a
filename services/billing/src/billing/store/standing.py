"""The history of accounts' states, and the steps that were done about bills that nobody paid: both only appended."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from chassis.arrays import array_of_instants, array_of_numbers, array_of_texts
from chassis.driver import fetch
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.account import AccountState
from billing.domain.effects import StateChanged
from billing.domain.ids import AccountId, BillId
from billing.domain.overdue import DueStep
from billing.domain.plan import OverdueAction

_ADD_STATES = """
INSERT INTO account_states (account_id, revision, state, because, bill_id, reason, occurred_at, recorded_at)
SELECT n.*, $8 FROM unnest($1::text::text[], $2::text::bigint[], $3::text::text[], $4::text::text[],
                           $5::text::text[], $6::text::text[], $7::text::timestamptz[]) AS n"""
_ADD_STEPS = """
INSERT INTO overdue_steps_done (bill_id, step, action, occurred_at, recorded_at)
SELECT n.*, $4, $5 FROM unnest($1::text::text[], $2::text::integer[], $3::text::text[]) AS n"""
_STEPS_DONE = """
SELECT bill_id, step, action, occurred_at FROM overdue_steps_done WHERE bill_id = ANY($1::text::text[])
ORDER BY bill_id, step"""
_SUSPENDED_FOR = """
SELECT occurred_at FROM account_states WHERE account_id = $1 AND bill_id = $2 AND state = $3 ORDER BY revision"""
# Whoever is at an account meanwhile is waited for by the next round.
_DUE_BILLS = """
SELECT account_id FROM accounts WHERE bill_at <= $1 ORDER BY bill_at, account_id LIMIT $2
FOR NO KEY UPDATE SKIP LOCKED"""
_OVERDUE = """
SELECT account_id FROM accounts WHERE overdue_at <= $1 ORDER BY overdue_at, account_id LIMIT $2
FOR NO KEY UPDATE SKIP LOCKED"""


class StepDone(NamedTuple):
    """A step that was done about a bill."""

    number: int
    action: OverdueAction
    occurred_at: datetime


def reminders_of(done: Sequence[StepDone]) -> list[datetime]:
    """When reminders were told."""
    return [step.occurred_at for step in done if step.action is OverdueAction.REMIND]


async def add_states(connection: AsyncConnection, changes: Sequence[StateChanged], recorded_at: datetime) -> None:
    """Appends changes of accounts' states."""
    if not changes:
        return
    services = [change.account.service for change in changes]
    await fetch(
        connection,
        _ADD_STATES,
        array_of_texts([change.account.account_id for change in changes]),
        array_of_numbers([service.revision for service in services]),
        array_of_texts([service.state for service in services]),
        array_of_texts([service.because for service in services]),
        array_of_texts([change.bill.bill_id if change.bill else None for change in changes]),
        array_of_texts([change.reason for change in changes]),
        array_of_instants([change.occurred_at for change in changes]),
        recorded_at,
    )


async def add_steps(
    connection: AsyncConnection, done: Sequence[tuple[BillId, DueStep]], occurred_at: datetime, recorded_at: datetime
) -> None:
    """Appends steps; each step of a bill has room once."""
    if done:
        await fetch(
            connection,
            _ADD_STEPS,
            array_of_texts([bill_id for bill_id, _ in done]),
            array_of_numbers([step.number for _, step in done]),
            array_of_texts([step.action for _, step in done]),
            occurred_at,
            recorded_at,
        )


async def steps_done(connection: AsyncConnection, bill_ids: Collection[BillId]) -> dict[BillId, list[StepDone]]:
    """What was done about bills, in order; without a bill, without a query."""
    if not bill_ids:
        return {}
    found: dict[BillId, list[StepDone]] = {}
    for row in await fetch(connection, _STEPS_DONE, array_of_texts(sorted(bill_ids))):
        step = StepDone(row["step"], OverdueAction(row["action"]), row["occurred_at"])
        found.setdefault(BillId(row["bill_id"]), []).append(step)
    return found


async def suspended_for(connection: AsyncConnection, account_id: AccountId, bill_id: BillId) -> list[datetime]:
    """When an account was suspended because of a bill."""
    rows = await fetch(connection, _SUSPENDED_FOR, account_id, bill_id, AccountState.SUSPENDED)
    return [row["occurred_at"] for row in rows]


async def accounts_to_bill(connection: AsyncConnection, as_of: datetime, limit: int) -> list[AccountId]:
    """Accounts whose crossing waited for its bill until now; locked."""
    return [AccountId(row["account_id"]) for row in await fetch(connection, _DUE_BILLS, as_of, limit)]


async def accounts_overdue(connection: AsyncConnection, as_of: datetime, limit: int) -> list[AccountId]:
    """Accounts about whose bill something is to be done by now; locked."""
    return [AccountId(row["account_id"]) for row in await fetch(connection, _OVERDUE, as_of, limit)]
