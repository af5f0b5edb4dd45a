"""Accounts in the database. `accounts_for_update` is the lock under which everything about an account changes."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from chassis.arrays import array_of_instants, array_of_numbers, array_of_texts
from chassis.driver import Row, fetch
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.account import AS_OPENED, Account, AccountState, Because, DayThreshold, Service
from billing.domain.ids import AccountId, CustomerId, PlanId
from billing.domain.threshold import Crossing, CrossingCause, Due

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
       crossed_threshold_minor, crossed_version, crossed_cause, crossed_at, bill_at, overdue_at, due_minor, due_of,
       day_threshold_minor, day_threshold_day, state, state_revision, state_because, state_since
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

# Who pays was read before a lock was waited for: somebody may have put other payers meanwhile.
_PAYERS_PUT_MEANWHILE = """
SELECT DISTINCT payer_account_id FROM account_payers
WHERE account_id = ANY($1::text::text[]) AND payer_account_id <> ALL($2::text::text[])"""

_ONE = f"{_SELECT} WHERE account_id = $1"

_LIST = f"""{_SELECT}
WHERE account_id > $1 AND ($2::text IS NULL OR customer_id = $2) ORDER BY account_id LIMIT $3"""

# A threshold by spend is worked out anew for another plan.
_SET_PLANS = """
UPDATE accounts a SET plan_id = n.plan_id, day_threshold_minor = NULL, day_threshold_day = DEFAULT
FROM unnest($1::text::text[], $2::text::text[]) AS n(account_id, plan_id) WHERE a.account_id = n.account_id"""

_SET_STAYS = """
UPDATE accounts a SET crossed_threshold_minor = n.threshold_minor, crossed_version = n.version,
    crossed_cause = n.cause, crossed_at = n.crossed_at, bill_at = n.bill_at, overdue_at = n.overdue_at,
    due_minor = n.due_minor, due_of = n.due_of,
    state = n.state, state_revision = n.revision, state_because = n.because, state_since = n.since
FROM unnest($1::text::text[], $2::text::bigint[], $3::text::bigint[], $4::text::text[], $5::text::timestamptz[],
            $6::text::timestamptz[], $7::text::timestamptz[], $8::text::text[], $9::text::bigint[], $10::text::text[],
            $11::text::timestamptz[], $12::text::bigint[], $13::text::text[])
     AS n(account_id, threshold_minor, version, cause, crossed_at, bill_at, overdue_at, state, revision, because, since,
          due_minor, due_of)
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
    accounts = {account.account_id: account for account in map(_account, rows)}
    paid_for = [account.account_id for account in accounts.values() if account.has_payers] if with_payers else []
    if paid_for:
        known = array_of_texts(list(accounts))
        late = await fetch(connection, _PAYERS_PUT_MEANWHILE, array_of_texts(paid_for), known)
        if late:
            # Out of the one order, which the database may answer with a deadlock; that is tried again.
            accounts |= await accounts_for_update(connection, {row["payer_account_id"] for row in late})
    return accounts


async def find_account(connection: AsyncConnection, account_id: AccountId) -> Account | None:
    """The account as it was committed last."""
    rows = await fetch(connection, _ONE, account_id)
    return _account(rows[0]) if rows else None


async def list_accounts(
    connection: AsyncConnection, customer_id: CustomerId | None, *, after: AccountId | None, limit: int
) -> list[Account]:
    """At most `limit` accounts whose id follows `after`, all or those of one customer."""
    return [_account(row) for row in await fetch(connection, _LIST, after or "", customer_id, limit)]


async def set_plans(connection: AsyncConnection, plans: Mapping[AccountId, PlanId | None]) -> None:
    """Hangs accounts on plans, or on none."""
    if plans:
        await fetch(connection, _SET_PLANS, array_of_texts(list(plans)), array_of_texts(list(plans.values())))


async def set_stays(connection: AsyncConnection, accounts: Collection[Account]) -> None:
    """Stores where the threshold machines of locked accounts stand now, what is next about their bills, and whether
    they are served."""
    if not accounts:
        return
    crossings = [account.crossing for account in accounts]
    dues = [crossing and crossing.due for crossing in crossings]
    services = [account.service for account in accounts]
    await fetch(
        connection,
        _SET_STAYS,
        array_of_texts([account.account_id for account in accounts]),
        array_of_numbers([c and c.threshold_minor for c in crossings]),
        array_of_numbers([c and c.account_version for c in crossings]),
        array_of_texts([c and c.cause for c in crossings]),
        array_of_instants([c and c.crossed_at for c in crossings]),
        array_of_instants([c and c.bill_at for c in crossings]),
        array_of_instants([account.overdue_at for account in accounts]),
        array_of_texts([service.state for service in services]),
        array_of_numbers([service.revision for service in services]),
        array_of_texts([service.because for service in services]),
        array_of_instants([service.since for service in services]),
        array_of_numbers([due and due.due_minor for due in dues]),
        array_of_texts([due and due.subscription_id for due in dues]),
    )


async def set_credit_limits(connection: AsyncConnection, limits_minor: Mapping[AccountId, int]) -> None:
    """Stores the credit limits of locked accounts."""
    if limits_minor:
        columns = array_of_texts(list(limits_minor)), array_of_numbers(list(limits_minor.values()))
        await fetch(connection, _SET_CREDIT_LIMITS, *columns)


def _account(row: Row) -> Account:
    threshold_minor = row["day_threshold_minor"]
    return Account(
        account_id=row["account_id"],
        customer_id=row["customer_id"],
        currency=row["currency"],
        plan_id=row["plan_id"],
        opened_at=row["opened_at"],
        credit_limit_minor=row["credit_limit_minor"],
        has_payers=row["has_payers"],
        crossing=None if row["crossed_version"] is None else _crossing(row),
        service=_service(row) if row["state_revision"] else AS_OPENED,
        day_threshold=None if threshold_minor is None else DayThreshold(threshold_minor, row["day_threshold_day"]),
        overdue_at=row["overdue_at"],
    )


def _crossing(row: Row) -> Crossing:
    return Crossing(
        row["crossed_threshold_minor"],
        row["crossed_version"],
        CrossingCause(row["crossed_cause"]),
        row["crossed_at"],
        row["bill_at"],
        None if row["due_of"] is None else Due(row["due_minor"], row["due_of"]),
    )


def _service(row: Row) -> Service:
    return Service(AccountState(row["state"]), row["state_revision"], Because(row["state_because"]), row["state_since"])
