"""Accounts in the database. `accounts_for_update` is the lock under which everything about an account changes."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import asyncpg
from chassis.arrays import array_of_instants, array_of_numbers, array_of_texts
from chassis.driver import fetch
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.account import Account
from billing.domain.ids import AccountId, CustomerId, PlanId
from billing.domain.threshold import Crossing

_ADD = """
INSERT INTO accounts (account_id, customer_id, currency, plan_id, credit_limit_minor, opened_at, recorded_at)
SELECT n.account_id, n.customer_id, n.currency, n.plan_id, n.credit_limit_minor, n.opened_at, $7
FROM unnest($1::text::text[], $2::text::text[], $3::text::text[], $4::text::text[], $5::text::bigint[],
            $6::text::timestamptz[])
     AS n(account_id, customer_id, currency, plan_id, credit_limit_minor, opened_at)
ORDER BY n.account_id
ON CONFLICT DO NOTHING RETURNING account_id"""

_SELECT = """
SELECT account_id, customer_id, currency, plan_id, opened_at, credit_limit_minor, has_payers,
       crossed_threshold_minor, crossed_version
FROM accounts"""

# Sorted, so that two batches never wait for each other in a circle. No key is changed, so that rows which refer to an
# account can be added meanwhile.
_FOR_UPDATE = f"""{_SELECT}
WHERE account_id = ANY($1::text::text[]) ORDER BY account_id FOR NO KEY UPDATE"""

# Who pays for an account is locked with it, in one order.
_FOR_UPDATE_WITH_PAYERS = f"""{_SELECT}
WHERE account_id = ANY(ARRAY(
    SELECT asked.account_id FROM unnest($1::text::text[]) AS asked (account_id)
    UNION SELECT payer_account_id FROM account_payers WHERE account_id = ANY($1::text::text[])))
ORDER BY account_id FOR NO KEY UPDATE"""  # noqa: S608 - of constants alone

_ONE = f"{_SELECT} WHERE account_id = $1"

_LIST = f"""{_SELECT}
WHERE account_id > $1 AND ($2::text IS NULL OR customer_id = $2) ORDER BY account_id LIMIT $3"""

_SET_PLAN = "UPDATE accounts SET plan_id = $2 WHERE account_id = $1"

_SET_CROSSINGS = """
UPDATE accounts a SET crossed_threshold_minor = n.threshold_minor, crossed_version = n.version
FROM unnest($1::text::text[], $2::text::bigint[], $3::text::bigint[]) AS n(account_id, threshold_minor, version)
WHERE a.account_id = n.account_id"""

_SET_CREDIT_LIMITS = """
UPDATE accounts a SET credit_limit_minor = n.credit_limit_minor
FROM unnest($1::text::text[], $2::text::bigint[]) AS n(account_id, credit_limit_minor)
WHERE a.account_id = n.account_id"""


async def add_accounts(
    connection: AsyncConnection, accounts: Sequence[Account], recorded_at: datetime
) -> set[AccountId]:
    """Adds what is not there yet; the ids that were added."""
    rows = await fetch(
        connection,
        _ADD,
        array_of_texts([a.account_id for a in accounts]),
        array_of_texts([a.customer_id for a in accounts]),
        array_of_texts([a.currency for a in accounts]),
        array_of_texts([a.plan_id for a in accounts]),
        array_of_numbers([a.credit_limit_minor for a in accounts]),
        array_of_instants([a.opened_at for a in accounts]),
        recorded_at,
    )
    return {AccountId(row["account_id"]) for row in rows}


async def accounts_for_update(
    connection: AsyncConnection, account_ids: Collection[AccountId], *, with_payers: bool = False
) -> dict[AccountId, Account]:
    """The accounts that exist, and those that pay for them where wanted, locked until the transaction ends. What is
    read afterwards is what holds."""
    statement = _FOR_UPDATE_WITH_PAYERS if with_payers else _FOR_UPDATE
    rows = await fetch(connection, statement, array_of_texts(sorted(account_ids)))
    return {account.account_id: account for account in map(_account, rows)}


async def find_account(connection: AsyncConnection, account_id: AccountId) -> Account | None:
    """The account as it was committed last."""
    rows = await fetch(connection, _ONE, account_id)
    return _account(rows[0]) if rows else None


async def list_accounts(
    connection: AsyncConnection, customer_id: CustomerId | None, *, after: AccountId | None, limit: int
) -> list[Account]:
    """At most `limit` accounts whose id follows `after`, all or those of one customer."""
    return [_account(row) for row in await fetch(connection, _LIST, after or "", customer_id, limit)]


async def set_plan(connection: AsyncConnection, account_id: AccountId, plan_id: PlanId | None) -> None:
    """Hangs the account on a plan, or on none."""
    await fetch(connection, _SET_PLAN, account_id, plan_id)


async def set_crossings(connection: AsyncConnection, crossings: Mapping[AccountId, Crossing | None]) -> None:
    """Stores where the threshold machines of locked accounts stand now."""
    if not crossings:
        return
    await fetch(
        connection,
        _SET_CROSSINGS,
        array_of_texts(list(crossings)),
        array_of_numbers([c and c.threshold_minor for c in crossings.values()]),
        array_of_numbers([c and c.account_version for c in crossings.values()]),
    )


async def set_credit_limits(connection: AsyncConnection, limits_minor: Mapping[AccountId, int]) -> None:
    """Stores the credit limits of locked accounts."""
    if limits_minor:
        columns = array_of_texts(list(limits_minor)), array_of_numbers(list(limits_minor.values()))
        await fetch(connection, _SET_CREDIT_LIMITS, *columns)


def _account(row: asyncpg.Record) -> Account:
    crossed = row["crossed_threshold_minor"] is not None
    return Account(
        account_id=row["account_id"],
        customer_id=row["customer_id"],
        currency=row["currency"],
        plan_id=row["plan_id"],
        opened_at=row["opened_at"],
        credit_limit_minor=row["credit_limit_minor"],
        has_payers=row["has_payers"],
        crossing=Crossing(row["crossed_threshold_minor"], row["crossed_version"]) if crossed else None,
    )
