"""Accounts: open them by the thousand, look at them."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from chassis.errors import Refusal
from chassis.paging import Page
from chassis.work import Transaction

from billing.domain.account import (
    Account,
    AccountExists,
    BalanceParts,
    OpenAccount,
    Standing,
    account_not_found,
    as_opened,
)
from billing.domain.facts import account_opened
from billing.domain.ids import AccountId, CustomerId, PlanId
from billing.domain.movement import StatementEntry
from billing.domain.plan import BillPlan
from billing.store import Connection
from billing.store.account import add_accounts, find_account, list_accounts
from billing.store.balance import open_balances, parts, standings, statement_entries
from billing.store.plan import find_plans
from billing.use_cases.plan import existing_plan


async def open_accounts(transaction: Transaction, wanted: Sequence[OpenAccount]) -> list[Standing | Refusal]:
    """Refuses AccountExists, PlanNotFound, PlanCurrencyDiffers; each item alone."""
    connection, recorded_at = transaction.connection, transaction.recorded_at
    plans = await find_plans(connection, (each.plan_id for each in wanted))
    outcomes = [_opened_or_refused(each, plans) for each in wanted]
    # Of two wishes for one number in a batch the first has it.
    first = {each.account_id: each for each in reversed(outcomes) if isinstance(each, Account)}
    added = await add_accounts(connection, list(first.values()), recorded_at)
    await open_balances(connection, [first[account_id] for account_id in added], recorded_at)
    return [
        _tell_opened(transaction, each, is_new=each.account_id in added and first[each.account_id] is each)
        if isinstance(each, Account)
        else each
        for each in outcomes
    ]


async def get_account(connection: Connection, account_id: AccountId, customer_id: CustomerId | None) -> Standing:
    """Refuses AccountNotFound, also for an account of another than the named customer."""
    account = await owned_account(connection, account_id, customer_id)
    return (await standings(connection, [account]))[account_id]


async def get_balance(
    connection: Connection, account_id: AccountId, customer_id: CustomerId | None, *, as_of: datetime | None
) -> BalanceParts:
    """What the balance consists of, now or at an instant. Refuses AccountNotFound."""
    account = await owned_account(connection, account_id, customer_id)
    return (await parts(connection, [account], as_of))[account_id]


async def accounts_page(connection: Connection, customer_id: CustomerId | None, page: Page) -> list[Standing]:
    """One more than the page holds, by account id, so that the caller sees whether another follows."""
    after = AccountId(page.after) if page.after else None
    accounts = await list_accounts(connection, customer_id, after=after, limit=page.wanted)
    found = await standings(connection, accounts)
    return [found[account.account_id] for account in accounts]


async def statement_page(
    connection: Connection,
    account_id: AccountId,
    customer_id: CustomerId | None,
    *,
    before: int | None,
    limit: int,
) -> list[StatementEntry]:
    """Entries of versions below `before`, newest first. Refuses AccountNotFound."""
    account = await owned_account(connection, account_id, customer_id)
    return await statement_entries(connection, account, before=before, limit=limit)


async def owned_account(connection: Connection, account_id: AccountId, customer_id: CustomerId | None) -> Account:
    """Refuses AccountNotFound, also for an account of another than the named customer."""
    account = await find_account(connection, account_id)
    if account is None:
        raise account_not_found(account_id)
    account.check_owner(customer_id)
    return account


def _opened_or_refused(wanted: OpenAccount, plans: Mapping[PlanId, BillPlan]) -> Account | Refusal:
    try:
        if wanted.plan_id is not None:
            existing_plan(wanted.plan_id, plans).check_suits(wanted)
    except Refusal as refusal:
        return refusal
    return wanted.opened()


def _tell_opened(transaction: Transaction, account: Account, *, is_new: bool) -> Standing | Refusal:
    if not is_new:
        return AccountExists(f"account {account.account_id} is open", account_id=account.account_id)
    transaction.emit(account_opened(account))
    return as_opened(account)
