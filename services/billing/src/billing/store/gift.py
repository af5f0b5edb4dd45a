"""Gifts in the database: what was given is appended, what is left is the ledger's lot."""

from collections.abc import Collection, Sequence
from datetime import datetime

from chassis.arrays import array_of_instants, array_of_numbers, array_of_texts
from chassis.driver import Row, fetch
from chassis.money import Money
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.account import Account
from billing.domain.gift import Gift, GiftPlace
from billing.domain.ids import AccountId, TransactionId
from billing.domain.movement import GiftTerms
from billing.store.posting import BALANCE_PREFIX

_ADD = """
INSERT INTO gifts (gift_id, account_id, lot, granted_minor, priority, expires_at, reason, granted_at, recorded_at)
SELECT n.*, $9 FROM unnest($1::text::text[], $2::text::text[], $3::text::bigint[], $4::text::bigint[],
                           $5::text::integer[], $6::text::timestamptz[], $7::text::text[], $8::text::timestamptz[])
     AS n(gift_id, account_id, lot, granted_minor, priority, expires_at, reason, granted_at)"""

_SELECT = """
SELECT g.gift_id, g.account_id, a.currency, l.account_version AS lot, g.granted_minor,
       coalesce(l.remaining, 0) AS remaining_minor, g.priority, g.expires_at, g.reason, g.granted_at
FROM gifts g JOIN accounts a USING (account_id)
LEFT JOIN ledger_lots l ON l.account_id = $1 || g.account_id AND l.account_version = g.lot"""

_FIND = f"{_SELECT} WHERE g.gift_id = ANY($2::text::text[])"

# In the order in which the ledger takes them.
_OPEN = f"""{_SELECT}
WHERE g.account_id = $2 AND l.remaining > 0
  AND (g.priority, coalesce(g.expires_at, 'infinity'), g.lot)
      > ($3::integer, coalesce($4::timestamptz, 'infinity'), $5::bigint)
ORDER BY g.priority, g.expires_at NULLS LAST, g.lot LIMIT $6"""

_BEFORE_ALL = GiftPlace(-1, None, 0)


async def add_gifts(connection: AsyncConnection, gifts: Sequence[Gift], recorded_at: datetime) -> None:
    """Appends gifts."""
    if not gifts:
        return
    await fetch(
        connection,
        _ADD,
        array_of_texts([gift.gift_id for gift in gifts]),
        array_of_texts([gift.account_id for gift in gifts]),
        array_of_numbers([gift.lot for gift in gifts]),
        array_of_numbers([gift.granted.minor_units for gift in gifts]),
        array_of_numbers([gift.terms.priority for gift in gifts]),
        array_of_instants([gift.terms.expires_at for gift in gifts]),
        array_of_texts([gift.reason for gift in gifts]),
        array_of_instants([gift.granted_at for gift in gifts]),
        recorded_at,
    )


async def find_gifts(connection: AsyncConnection, gift_ids: Collection[TransactionId]) -> dict[TransactionId, Gift]:
    """Those of the gifts that exist, with what is left of them."""
    rows = await fetch(connection, _FIND, BALANCE_PREFIX, array_of_texts(sorted(gift_ids)))
    return {gift.gift_id: gift for gift in map(_gift, rows)}


async def open_gifts(
    connection: AsyncConnection, account: Account, *, after: GiftPlace | None, limit: int
) -> list[Gift]:
    """At most `limit` gifts with something left, those that are spent first first, behind the place named."""
    place = after or _BEFORE_ALL
    return [_gift(row) for row in await fetch(connection, _OPEN, BALANCE_PREFIX, account.account_id, *place, limit)]


def _gift(row: Row) -> Gift:
    return Gift(
        gift_id=TransactionId(row["gift_id"]),
        account_id=AccountId(row["account_id"]),
        lot=row["lot"],
        granted=Money(row["granted_minor"], row["currency"]),
        remaining=Money(row["remaining_minor"], row["currency"]),
        terms=GiftTerms(row["expires_at"], row["priority"]),
        reason=row["reason"],
        granted_at=row["granted_at"],
    )
