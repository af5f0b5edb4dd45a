"""Accounts in the database. `accounts_for_update` is the lock under which everything about an account changes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, Row, Text, any_, bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.account import Account
from billing.domain.ids import AccountId, CustomerId, PlanId
from billing.domain.threshold import Crossing
from billing.store.tables import ACCOUNTS

_ADD = text("""
INSERT INTO accounts (account_id, customer_id, currency, plan_id, opened_at, recorded_at)
SELECT n.account_id, n.customer_id, n.currency, n.plan_id, n.opened_at, CAST(:recorded_at AS timestamptz)
FROM unnest(CAST(:account_ids AS text[]), CAST(:customer_ids AS text[]), CAST(:currencies AS text[]),
            CAST(:plan_ids AS text[]), CAST(:opened_ats AS timestamptz[]))
     AS n(account_id, customer_id, currency, plan_id, opened_at)
ORDER BY n.account_id
ON CONFLICT DO NOTHING RETURNING account_id
""")
_SELECT = select(
    ACCOUNTS.c.account_id,
    ACCOUNTS.c.customer_id,
    ACCOUNTS.c.currency,
    ACCOUNTS.c.plan_id,
    ACCOUNTS.c.opened_at,
    ACCOUNTS.c.crossed_threshold_minor,
    ACCOUNTS.c.crossed_version,
)
# Sorted, so that two batches never wait for each other in a circle. No key is changed, so that rows which refer to an
# account can be added meanwhile.
_FOR_UPDATE = (
    _SELECT.where(ACCOUNTS.c.account_id == any_(bindparam("account_ids", type_=ARRAY(Text))))
    .order_by(ACCOUNTS.c.account_id)
    .with_for_update(key_share=True)
)
_ONE = _SELECT.where(ACCOUNTS.c.account_id == bindparam("account_id"))
_LIST = _SELECT.where(ACCOUNTS.c.account_id > bindparam("after")).order_by(ACCOUNTS.c.account_id)
_SET_PLAN = text("UPDATE accounts SET plan_id = :plan_id WHERE account_id = :account_id")
_SET_CROSSINGS = text("""
UPDATE accounts a SET crossed_threshold_minor = n.threshold_minor, crossed_version = n.version
FROM unnest(CAST(:account_ids AS text[]), CAST(:thresholds_minor AS bigint[]), CAST(:versions AS bigint[]))
     AS n(account_id, threshold_minor, version)
WHERE a.account_id = n.account_id
""")


async def add_accounts(
    connection: AsyncConnection, accounts: Sequence[Account], recorded_at: datetime
) -> set[AccountId]:
    """Adds what is not there yet; the ids that were added."""
    rows = await connection.execute(
        _ADD,
        {
            "account_ids": [a.account_id for a in accounts],
            "customer_ids": [a.customer_id for a in accounts],
            "currencies": [a.currency for a in accounts],
            "plan_ids": [a.plan_id for a in accounts],
            "opened_ats": [a.opened_at for a in accounts],
            "recorded_at": recorded_at,
        },
    )
    return {AccountId(account_id) for (account_id,) in rows}


async def accounts_for_update(connection: AsyncConnection, account_ids: set[AccountId]) -> dict[AccountId, Account]:
    """The accounts that exist, locked until the transaction ends. What is read afterwards is what holds."""
    rows = await connection.execute(_FOR_UPDATE, {"account_ids": sorted(account_ids)})
    return {account.account_id: account for account in map(_account, rows)}


async def find_account(connection: AsyncConnection, account_id: AccountId) -> Account | None:
    """The account as it was committed last."""
    row = (await connection.execute(_ONE, {"account_id": account_id})).one_or_none()
    return None if row is None else _account(row)


async def list_accounts(
    connection: AsyncConnection, customer_id: CustomerId | None, *, after: AccountId | None, limit: int
) -> list[Account]:
    """At most `limit` accounts whose id follows `after`, all or those of one customer."""
    statement = _LIST.limit(limit)
    if customer_id is not None:
        statement = statement.where(ACCOUNTS.c.customer_id == customer_id)
    return [_account(row) for row in await connection.execute(statement, {"after": after or ""})]


async def set_plan(connection: AsyncConnection, account_id: AccountId, plan_id: PlanId | None) -> None:
    """Hangs the account on a plan, or on none."""
    await connection.execute(_SET_PLAN, {"account_id": account_id, "plan_id": plan_id})


async def set_crossings(connection: AsyncConnection, crossings: Mapping[AccountId, Crossing | None]) -> None:
    """Stores where the threshold machines of locked accounts stand now."""
    if not crossings:
        return
    await connection.execute(
        _SET_CROSSINGS,
        {
            "account_ids": list(crossings),
            "thresholds_minor": [c and c.threshold_minor for c in crossings.values()],
            "versions": [c and c.account_version for c in crossings.values()],
        },
    )


def _account(row: Row[*tuple[Any, ...]]) -> Account:
    crossed = row.crossed_threshold_minor is not None
    return Account(
        account_id=row.account_id,
        customer_id=row.customer_id,
        currency=row.currency,
        plan_id=row.plan_id,
        opened_at=row.opened_at,
        crossing=Crossing(row.crossed_threshold_minor, row.crossed_version) if crossed else None,
    )
