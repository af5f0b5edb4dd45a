"""The proof: every rule of the ledger asked of the tables themselves, so that nothing rests on the code being right."""

from typing import NamedTuple

from chassis.driver import fetch
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.store.sealing import find_broken_seals

OFFENDERS_SHOWN = 10

# Each statement names what breaks the rule; none means that the rule holds. One statement sees one snapshot, so the
# proof may run beside postings.
CHECKS = {
    "entries of a transaction sum to zero": """
        SELECT source FROM ledger_entries GROUP BY source HAVING sum(amount) <> 0""",
    "transactions have entries, and entries a transaction": """
        SELECT coalesce(t.source, e.source) FROM ledger_transactions t
        FULL JOIN (SELECT DISTINCT source FROM ledger_entries) e ON e.source = t.source
        WHERE t.source IS NULL OR e.source IS NULL""",
    "an account stands at the sum of its entries": """
        SELECT coalesce(a.id, e.account_id) FROM ledger_accounts a
        FULL JOIN (SELECT account_id, sum(amount) AS balance, sum(held_change) AS held FROM ledger_entries
                   WHERE account_version IS NOT NULL GROUP BY account_id) e ON e.account_id = a.id
        WHERE a.id IS NULL OR a.balance <> coalesce(e.balance, 0) OR a.held <> coalesce(e.held, 0)""",
    "versions are dense, and each step starts where the last one ended": """
        SELECT account_id || '@' || account_version FROM (
            SELECT *, lag(account_version, 1, 0::bigint) OVER steps AS version_before,
                   lag(balance_after, 1, 0::bigint) OVER steps AS balance_before,
                   lag(held_after, 1, 0::bigint) OVER steps AS held_before
            FROM ledger_entries WHERE account_version IS NOT NULL
            WINDOW steps AS (PARTITION BY account_id ORDER BY account_version)) AS step
        WHERE account_version <> version_before + 1 OR balance_after <> balance_before + amount
           OR held_after <> held_before + held_change OR balance_after - held_after < floor""",
    "an account's version is its newest step": """
        SELECT a.id FROM ledger_accounts a
        WHERE a.version <> coalesce((SELECT max(e.account_version) FROM ledger_entries e
                                     WHERE e.account_id = a.id AND e.account_version IS NOT NULL), 0)""",
    "held is the sum of open holds": """
        SELECT a.id FROM ledger_accounts a
        WHERE a.held <> coalesce((SELECT sum(h.amount) FROM ledger_holds h
                                  WHERE h.account_id = a.id AND h.state = 'open'), 0)""",
    "a hold ends once, in a transaction that says so, and captures at most what it held": """
        SELECT h.id FROM ledger_holds h
        LEFT JOIN ledger_transactions t ON t.ends = h.id
        LEFT JOIN ledger_entries e ON e.source = t.source AND e.account_id = h.account_id AND e.held_change < 0
        WHERE (h.state = 'open') <> (t.source IS NULL)
           OR (t.source IS NOT NULL AND (e.held_change IS DISTINCT FROM -h.amount OR -e.amount > h.amount
                                         OR (h.state = 'captured') <> (e.amount < 0)))""",
    "no hold is captured or released at its expiry or later": """
        SELECT h.id FROM ledger_holds h
        JOIN ledger_transactions t ON t.ends = h.id
        WHERE h.state IN ('captured', 'released') AND t.occurred_at >= h.expires_at
           OR h.state = 'expired' AND t.occurred_at <> h.expires_at""",
    "a debit takes from no lot while one before it in order has something left": """
        SELECT taken.account_id || '@' || taken.account_version FROM (
            SELECT DISTINCT ON (m.account_id, m.account_version) m.account_id, m.account_version, l.priority,
                   coalesce(l.expires_at, 'infinity') AS expires_at, m.lot
            FROM ledger_lot_moves m
            JOIN ledger_lots l ON l.account_id = m.account_id AND l.account_version = m.lot
            JOIN ledger_entries e ON e.account_id = m.account_id AND e.account_version = m.account_version
            JOIN ledger_transactions t ON t.source = e.source AND t.reverses IS NULL
                 AND t.kind NOT IN ('lot_expiry', 'hold_expiry')
            WHERE m.amount < 0
            ORDER BY m.account_id, m.account_version, l.priority DESC, 4 DESC, m.lot DESC) AS taken
        JOIN ledger_lots l ON l.account_id = taken.account_id AND l.account_version < taken.account_version
             AND (l.priority, coalesce(l.expires_at, 'infinity'), l.account_version)
               < (taken.priority, taken.expires_at, taken.lot)
        WHERE (SELECT sum(m.amount) FROM ledger_lot_moves m
               WHERE m.account_id = l.account_id AND m.lot = l.account_version
                 AND m.account_version <= taken.account_version) > 0""",
    "what is left of a lot is the sum of its moves, and its first move its grant": """
        SELECT l.account_id || '#' || l.account_version FROM ledger_lots l
        JOIN LATERAL (SELECT coalesce(sum(m.amount), 0) AS remaining,
                             sum(m.amount) FILTER (WHERE m.account_version = l.account_version) AS granted
                      FROM ledger_lot_moves m
                      WHERE m.account_id = l.account_id AND m.lot = l.account_version) AS moves ON true
        WHERE l.remaining <> moves.remaining OR l.granted IS DISTINCT FROM moves.granted""",
    "open lots add up to what the account has in lots": """
        SELECT a.id FROM ledger_accounts a
        WHERE a.in_lots <> coalesce((SELECT sum(l.remaining) FROM ledger_lots l WHERE l.account_id = a.id), 0)""",
    "a lot whose expiry is booked has that one transaction": """
        SELECT l.account_id || '#' || l.account_version FROM ledger_lots l
        LEFT JOIN ledger_transactions t
               ON t.source = 'lot_expiry:' || l.account_id || '/' || l.account_version
        WHERE l.expired <> (t.source IS NOT NULL) OR (l.expired AND t.occurred_at <> l.expires_at)""",
    "reversals together do not pass their original": """
        SELECT t.source FROM ledger_transactions t
        JOIN (SELECT reverses, sum(reversed_amount) AS reversed FROM ledger_transactions
              WHERE reverses IS NOT NULL GROUP BY reverses) r ON r.reverses = t.source
        WHERE r.reversed > (SELECT sum(e.amount) FROM ledger_entries e WHERE e.source = t.source AND e.amount > 0)""",
    "nothing says that it was written by a writer still to come, and so will not be sealed": """
        SELECT source FROM ledger_transactions
        WHERE written_by >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint
          AND written_by IS DISTINCT FROM pg_current_xact_id_if_assigned()::text::bigint""",
}
SEALS_HOLD = "what was sealed is as it was, and the seals follow one another"

TOTALS = """
SELECT t.asset, coalesce(sum(e.amount), 0)::bigint AS total, count(*) AS entries
FROM ledger_entries e JOIN ledger_transactions t ON t.source = e.source
GROUP BY t.asset ORDER BY t.asset"""


class Check(NamedTuple):
    """One rule and the first things that break it."""

    rule: str
    offenders: tuple[str, ...]


class Proof(NamedTuple):
    """What was checked. `totals` is the sum of all entries by asset: zero, each of them."""

    checks: tuple[Check, ...]
    totals: dict[str, int]
    entries: int

    @property
    def holds(self) -> bool:
        """Whether every rule holds."""
        return not self.broken and not any(self.totals.values())

    @property
    def broken(self) -> tuple[Check, ...]:
        """The rules that do not hold."""
        return tuple(check for check in self.checks if check.offenders)


async def prove_books(connection: AsyncConnection) -> Proof:
    """Ask every check of the whole ledger. Reads all entries: a job's work, not a request's."""
    checks = []
    for rule, statement in CHECKS.items():
        rows = await fetch(connection, f"{statement} LIMIT {OFFENDERS_SHOWN}")
        checks.append(Check(rule, tuple(row[0] for row in rows)))
    checks.append(Check(SEALS_HOLD, tuple(await find_broken_seals(connection, OFFENDERS_SHOWN))))
    totals = await fetch(connection, TOTALS)
    return Proof(
        checks=tuple(checks),
        totals={row["asset"]: row["total"] for row in totals},
        entries=sum(row["entries"] for row in totals),
    )
