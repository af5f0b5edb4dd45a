"""Who pays for accounts, and what they paid in a month."""

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from chassis.arrays import array_of_numbers, array_of_texts
from chassis.driver import fetch
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.account import Account
from billing.domain.ids import AccountId
from billing.domain.payer import PaidMonth, Payer, PutPayers

_ADD_PAID = """
INSERT INTO payer_months AS m (account_id, payer_account_id, month, paid_minor)
SELECT * FROM unnest($1::text::text[], $2::text::text[], $3::text::date[], $4::text::bigint[])
ON CONFLICT (account_id, payer_account_id, month) DO UPDATE SET paid_minor = m.paid_minor + excluded.paid_minor"""

_FIND = """
SELECT account_id, payer_account_id, monthly_limit_minor, families FROM account_payers
WHERE account_id = ANY($1::text::text[]) ORDER BY account_id, position"""

_FIND_PAID = """
SELECT m.account_id, m.payer_account_id, m.month, m.paid_minor
FROM payer_months m
JOIN unnest($1::text::text[], $2::text::text[], $3::text::date[]) AS asked(account_id, payer_account_id, month)
  USING (account_id, payer_account_id, month)"""

_PAYS_FOR_OTHERS = "SELECT EXISTS (SELECT FROM account_payers WHERE payer_account_id = $1) AS pays"

_PUT = """
WITH gone AS (DELETE FROM account_payers WHERE account_id = $1 AND position > $5::integer)
INSERT INTO account_payers (account_id, position, payer_account_id, monthly_limit_minor, families, recorded_at)
SELECT $1, n.position, n.payer_account_id, n.monthly_limit_minor,
       ARRAY(SELECT jsonb_array_elements_text(n.families)), $6
FROM unnest($2::text::text[], $3::text::bigint[], $4::text::jsonb[])
     WITH ORDINALITY AS n(payer_account_id, monthly_limit_minor, families, position)
ON CONFLICT (account_id, position) DO UPDATE SET payer_account_id = excluded.payer_account_id,
  monthly_limit_minor = excluded.monthly_limit_minor, families = excluded.families,
  recorded_at = excluded.recorded_at"""

_NOTE = """
INSERT INTO account_payer_changes (change_id, account_id, payers, occurred_at, recorded_at)
VALUES ($1, $2, $3::text::jsonb, $4, $5)"""

_SET_HAS_PAYERS = "UPDATE accounts SET has_payers = $2 WHERE account_id = $1"


async def find_payers(connection: AsyncConnection, accounts: Iterable[Account]) -> dict[AccountId, list[Payer]]:
    """Who pays for these accounts, in order; without an account, without a query."""
    wanted = {account.account_id: account for account in accounts}
    if not wanted:
        return {}
    found: dict[AccountId, list[Payer]] = {account_id: [] for account_id in wanted}
    for row in await fetch(connection, _FIND, array_of_texts(list(wanted))):
        account, limit_minor = wanted[row["account_id"]], row["monthly_limit_minor"]
        limit = None if limit_minor is None else account.money(limit_minor)
        found[account.account_id].append(Payer(row["payer_account_id"], limit, tuple(row["families"])))
    return found


async def find_paid(connection: AsyncConnection, months: Collection[PaidMonth]) -> dict[PaidMonth, int]:
    """What payers paid in these months; without a month, without a query."""
    if not months:
        return {}
    found = await fetch(
        connection,
        _FIND_PAID,
        array_of_texts([each.account_id for each in months]),
        array_of_texts([each.payer_account_id for each in months]),
        array_of_texts([each.month.isoformat() for each in months]),
    )
    return {PaidMonth(row["account_id"], row["payer_account_id"], row["month"]): row["paid_minor"] for row in found}


async def pays_for_others(connection: AsyncConnection, account_id: AccountId) -> bool:
    """Whether a locked account is somebody's payer."""
    (row,) = await fetch(connection, _PAYS_FOR_OTHERS, account_id)
    return bool(row["pays"])


async def put_payers(connection: AsyncConnection, change_id: str, wanted: PutPayers, recorded_at: datetime) -> None:
    """Stores who pays for a locked account from now on, and appends that it was so wished."""
    limits = [None if each.monthly_limit is None else each.monthly_limit.minor_units for each in wanted.payers]
    await fetch(
        connection,
        _PUT,
        wanted.account_id,
        array_of_texts([each.payer_account_id for each in wanted.payers]),
        array_of_numbers(limits),
        array_of_texts([json.dumps(each.families) for each in wanted.payers]),
        len(wanted.payers),
        recorded_at,
    )
    await fetch(connection, _SET_HAS_PAYERS, wanted.account_id, bool(wanted.payers))
    document = [
        [each.payer_account_id, limit, each.families] for each, limit in zip(wanted.payers, limits, strict=True)
    ]
    await fetch(connection, _NOTE, change_id, wanted.account_id, json.dumps(document), wanted.occurred_at, recorded_at)


async def add_paid(connection: AsyncConnection, paid_minor: Mapping[PaidMonth, int]) -> None:
    """Counts what payers of locked accounts paid."""
    if paid_minor:
        await fetch(
            connection,
            _ADD_PAID,
            array_of_texts([each.account_id for each in paid_minor]),
            array_of_texts([each.payer_account_id for each in paid_minor]),
            array_of_texts([each.month.isoformat() for each in paid_minor]),
            array_of_numbers(list(paid_minor.values())),
        )
