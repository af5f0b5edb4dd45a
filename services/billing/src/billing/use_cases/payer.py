"""Payers: put them, look at them, and choose them for charges."""

from collections.abc import Mapping, Sequence

from chassis.calendar import Calendar
from chassis.ids import new_id
from chassis.work import Transaction

from billing.domain.account import Account, account_not_found
from billing.domain.ids import AccountId, CustomerId
from billing.domain.payer import Bearing, PaidMonth, Payer, PutPayers, month_of, who_pays
from billing.store import Connection
from billing.store import payer as store
from billing.use_cases.account import owned_account
from billing.use_cases.movement import lock_accounts


async def put_payers(transaction: Transaction, wanted: PutPayers) -> tuple[Payer, ...]:
    """Who pays from now on. Refuses AccountNotFound, PayerNotFound, PayerIsAccount, PayerChain, CurrencyMismatch.

    The account and its payers are locked together, so that of two who would make a chain the second sees the first."""
    connection = transaction.connection
    accounts = await lock_accounts(
        transaction, {wanted.account_id, *(payer.payer_account_id for payer in wanted.payers)}
    )
    if wanted.account_id not in accounts:
        raise account_not_found(wanted.account_id)
    paying = bool(wanted.payers) and await store.pays_for_others(connection, wanted.account_id)
    wanted.check_against(accounts, pays_for_others=paying)
    await store.put_payers(connection, new_id(), wanted, transaction.recorded_at)
    return wanted.payers


async def get_payers(connection: Connection, account_id: AccountId, customer_id: CustomerId | None) -> Sequence[Payer]:
    """Who pays for an account, in order. Refuses AccountNotFound."""
    account = await owned_account(connection, account_id, customer_id)
    return (await store.find_payers(connection, [account]))[account_id]


async def choose_payers(
    transaction: Transaction, accounts: Mapping[AccountId, Account], bearings: Sequence[Bearing], calendar: Calendar
) -> list[tuple[AccountId, ...]]:
    """Who pays each charge before its own account: what a debit's `payers` are to be. The accounts are locked with
    their payers; those without payers cost no query."""
    paid_for = [accounts[key] for key in {each.account_id for each in bearings} if _has_payers(accounts.get(key))]
    if not paid_for:
        return [()] * len(bearings)
    payers = await store.find_payers(transaction.connection, paid_for)
    months = {
        PaidMonth(each.account_id, payer.payer_account_id, month_of(calendar, each.occurred_at))
        for each in bearings
        for payer in payers.get(each.account_id, ())
        if payer.monthly_limit is not None
    }
    return who_pays(bearings, payers, await store.find_paid(transaction.connection, months), calendar)


def _has_payers(account: Account | None) -> bool:
    return account is not None and account.has_payers
