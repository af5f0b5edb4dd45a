"""What a closed day holds: the entries that its closing took, portion by portion of accounts."""

from datetime import date, datetime
from typing import NamedTuple

from chassis.driver import fetch
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.ids import AccountId
from billing.domain.snapshot import BookDay
from billing.store.balance import BALANCE_PREFIX

ACCOUNTS_PER_PORTION = 2000

# $1 the prefix of balances, $2 the day, $3 and $4 its span, $5 and $6 the portion's first and last account.
DAY_ENTRIES = """
SELECT d.account_id, e.source, e.line, e.amount, e.held_change, e.account_version, e.balance_after, e.occurred_at
FROM account_day_ends d
JOIN ledger_entries e ON e.account_id = $1 || d.account_id AND e.account_version <= d.account_version
                      AND e.occurred_at >= $3 AND e.occurred_at < $4
WHERE d.day = $2 AND d.account_id BETWEEN $5 AND $6
UNION ALL
SELECT l.account_id, e.source, e.line, e.amount, e.held_change, e.account_version, e.balance_after, e.occurred_at
FROM late_entries l
JOIN ledger_entries e ON e.account_id = $1 || l.account_id AND e.account_version = l.account_version
WHERE l.stated_at = $3 AND l.account_id BETWEEN $5 AND $6"""

_PORTION = """
SELECT min(account_id) AS first, max(account_id) AS last FROM (
    SELECT account_id FROM account_day_ends WHERE day = $1 AND account_id > $2 ORDER BY account_id LIMIT $3) AS next"""


class Portion(NamedTuple):
    """Accounts of a day that are looked at together."""

    day: BookDay
    first: AccountId
    last: AccountId

    @property
    def arguments(self) -> tuple[str, date, datetime, datetime, str, str]:
        """As `DAY_ENTRIES` takes them."""
        return BALANCE_PREFIX, self.day.day, *self.day.span, self.first, self.last


async def next_portion(
    connection: AsyncConnection, day: BookDay, after: AccountId | None, *, accounts: int = ACCOUNTS_PER_PORTION
) -> Portion | None:
    """The next accounts that moved on a closed day; None at the end."""
    (row,) = await fetch(connection, _PORTION, day.day, after or "", accounts)
    return None if row["first"] is None else Portion(day, AccountId(row["first"]), AccountId(row["last"]))
