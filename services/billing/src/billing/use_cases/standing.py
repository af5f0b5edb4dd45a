"""Standing: how accounts stand with their thresholds and bills, and operators' suspensions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from chassis.work import Transaction

from billing.domain.account import Account, AccountState, Because, Service, account_not_found
from billing.domain.effects import StateChanged
from billing.domain.ids import AccountId, CustomerId
from billing.domain.movement import check_occurred_at
from billing.domain.plan import plan_at
from billing.domain.standing import check_not_suspended, check_suspended
from billing.store import Connection
from billing.store.account import accounts_for_update, find_account, set_stays
from billing.store.bill import open_bills
from billing.store.payment import pending_sums
from billing.store.plan import plans_since
from billing.store.standing import add_states
from billing.use_cases.settlement import tell


class AccountStanding(NamedTuple):
    """An account with the threshold that is in force, what is asked of it and what is on its way, in minor units."""

    account: Account
    threshold_minor: int | None
    plan_revision: int
    asked_minor: int
    on_its_way_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeState:
    """Wish of an operator to suspend or resume an account."""

    account_id: AccountId
    reason: str
    occurred_at: datetime

    def __post_init__(self) -> None:
        check_occurred_at(self.occurred_at)


async def standings_of(
    connection: Connection, accounts: Sequence[Account], as_of: datetime
) -> Mapping[AccountId, AccountStanding]:
    """How accounts stand at a business time."""
    plans = await plans_since(connection, {account.plan_id for account in accounts}, as_of)
    ids = {account.account_id for account in accounts}
    asked = await open_bills(connection, ids)
    pending = await pending_sums(connection, ids)
    found = {}
    for account in accounts:
        plan = plan_at(plans, account.plan_id, as_of)
        found[account.account_id] = AccountStanding(
            account,
            plan.threshold_minor(account) if plan else None,
            plan.revision if plan else 0,
            sum(bill.remaining.minor_units for bill in asked.get(account.account_id, ())),
            pending.get(account.account_id, 0),
        )
    return found


async def get_standing(
    connection: Connection, account_id: AccountId, customer_id: CustomerId | None, as_of: datetime
) -> AccountStanding:
    """Refuses AccountNotFound, also for an account of another than the named customer."""
    account = await find_account(connection, account_id)
    if account is None:
        raise account_not_found(account_id)
    account.check_owner(customer_id)
    return (await standings_of(connection, [account], as_of))[account_id]


async def suspend_account(transaction: Transaction, wanted: ChangeState) -> AccountStanding:
    """Suspends by an operator's decision: only an operator resumes. Takes over a suspension over a bill. Refuses
    AccountNotFound, AlreadySuspended."""
    account = await _for_update(transaction, wanted.account_id)
    check_not_suspended(account)
    return await _change(transaction, account, AccountState.SUSPENDED, wanted)


async def resume_account(transaction: Transaction, wanted: ChangeState) -> AccountStanding:
    """Serves an account again, whoever suspended it. What was done about its bill is not done again. Refuses
    AccountNotFound, AccountActive."""
    account = await _for_update(transaction, wanted.account_id)
    check_suspended(account)
    return await _change(transaction, account, AccountState.ACTIVE, wanted)


async def _for_update(transaction: Transaction, account_id: AccountId) -> Account:
    account = (await accounts_for_update(transaction.connection, {account_id})).get(account_id)
    if account is None:
        raise account_not_found(account_id)
    return account


async def _change(
    transaction: Transaction, account: Account, state: AccountState, wanted: ChangeState
) -> AccountStanding:
    connection = transaction.connection
    service = Service(state, account.service.revision + 1, Because.OPERATOR, wanted.occurred_at)
    changed = replace(account, service=service)
    effect = StateChanged(changed, wanted.occurred_at, None, wanted.reason)
    await set_stays(connection, [changed])
    await add_states(connection, [effect], transaction.recorded_at)
    tell(transaction, [effect])
    return (await standings_of(connection, [changed], wanted.occurred_at))[changed.account_id]
