"""Balances in their parts, as of an instant."""

from collections.abc import Iterable
from datetime import datetime

from chassis.driver import fetch
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.account import Account
from billing.domain.ids import AccountId
from billing.domain.parts import BalanceParts, parts_of
from billing.store.posting import LEDGER, account_of, balance_of

# Gift credit that lives then: what is left in lots, and what is set aside of it, which does not expire.
_GIFTS = """
SELECT l.account_id, sum(l.amount)::bigint AS gift_minor FROM (
    SELECT account_id, remaining AS amount FROM ledger_lots
    WHERE account_id = ANY($1::text[]) AND remaining > 0 AND (expires_at IS NULL OR expires_at > $2)
    UNION ALL
    SELECT h.account_id, -m.amount FROM ledger_holds h
    JOIN ledger_lot_moves m ON m.account_id = h.account_id AND m.account_version = h.account_version
    WHERE h.account_id = ANY($1::text[]) AND h.state = 'open' AND h.expires_at > $2) AS l
GROUP BY l.account_id"""


async def parts(
    connection: AsyncConnection, accounts: Iterable[Account], as_of: datetime
) -> dict[AccountId, BalanceParts]:
    """What accounts have at an instant, and of what; without an account, without a query."""
    wanted = {balance_of(account.account_id): account for account in accounts}
    if not wanted:
        return {}
    balances = await LEDGER.balances(connection, list(wanted), as_of)
    gifts = {row["account_id"]: row["gift_minor"] for row in await fetch(connection, _GIFTS, list(wanted), as_of)}
    return {
        account_of(key): parts_of(
            account,
            balance_minor=balances[key].balance,
            gift_minor=gifts.get(key, 0),
            held_minor=balances[key].held,
            as_of=as_of,
        )
        for key, account in wanted.items()
    }
