"""What reconciling compares: the ledger with what billing knows of it, and payments with their providers' files.

Each statement answers with what does not agree: its kind, what it is about, and the amounts here and there.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

from chassis.arrays import array_of_instants, array_of_numbers, array_of_texts
from chassis.driver import Row, fetch
from chassis.money import Money
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.difference import Difference, DifferenceKind
from billing.domain.reconcile import ImportRecords
from billing.domain.snapshot import BookDay
from billing.store.day_books import DAY_ENTRIES, Portion
from billing.store.difference import add_differences

__all__ = [
    "Compared",
    "add_differences",
    "add_provider_records",
    "compare_payments",
    "compare_portion",
    "compare_records",
    "find_unbooked",
]

# What a transaction of these kinds is to come from. The others explain themselves: a recharge that was recorded without
# a payment, a correction, what was set aside or freed, what was taken back, what expired, and a return without a
# movement.
_NEEDS = """
VALUES ('charge', 'charge_unbooked', false), ('reservation_commit', 'charge_unbooked', false),
       ('charge_refund', 'refund', false), ('bill_payment', 'bill_unbooked', false), ('gift', 'gift', false),
       ('recharge', 'amount_differs', true), ('bill_payment', 'amount_differs', true),
       ('chargeback', 'amount_differs', false), ('payment_refund', 'amount_differs', false)"""
_SELF_EXPLAINING = """
'recharge', 'adjustment', 'gift_revocation', 'credit_limit', 'recharge_reversal', 'payment_refund_hold',
'payment_refund_release', 'reservation', 'reservation_release', 'migration', 'migration_undo', 'lot_expiry',
'hold_expiry', 'due_over'"""

# Each transaction of the portion with what it did to all balances, and what billing knows it by.
_COMPARE = f"""
WITH moved AS (
    SELECT source, t.kind, t.asset, t.metadata->>'payment_id' AS payment_id, sum(e.amount)::bigint AS amount
    FROM (SELECT DISTINCT source FROM ({DAY_ENTRIES}) AS of_day) AS sources
    JOIN ledger_transactions t USING (source) JOIN ledger_entries e USING (source)
    WHERE e.account_version IS NOT NULL GROUP BY source, t.kind, t.asset, t.metadata),
known AS (
    SELECT m.source, 'charge_unbooked' AS what, c.charge_id AS reference, -c.amount_minor AS expected_minor
    FROM moved m JOIN charges c ON c.transaction_id = m.source
    UNION ALL SELECT m.source, 'refund', r.refund_id, r.amount_minor
    FROM moved m JOIN charge_refunds r ON r.transaction_id = m.source
    UNION ALL SELECT m.source, 'gift', g.gift_id, g.granted_minor
    FROM moved m JOIN gifts g ON g.gift_id = m.source
    UNION ALL SELECT m.source, 'bill_unbooked', b.bill_id, coalesce(p.amount_minor, b.amount_minor)
    FROM moved m JOIN bill_payments p ON p.transaction_id = m.source JOIN bills b USING (bill_id)
    UNION ALL SELECT m.source, 'amount_differs', p.payment_id, p.amount_minor
    FROM moved m JOIN payments p ON p.transaction_id = m.source
    UNION ALL SELECT m.source, 'amount_differs', c.payment_id, -c.amount_minor
    FROM moved m JOIN payment_chargebacks c ON c.transaction_id = m.source
    UNION ALL SELECT m.source, 'amount_differs', r.payment_id, -r.amount_minor
    FROM moved m JOIN payment_refunds r ON r.transaction_id = m.source),
differing AS (
    SELECT CASE WHEN k.what IN ('refund', 'gift') THEN 'ledger_unexplained' ELSE k.what END AS what,
           CASE WHEN k.what IN ('refund', 'gift') THEN k.source ELSE k.reference END AS reference,
           k.expected_minor AS here_minor, m.amount AS there_minor, m.asset
    FROM known k JOIN moved m USING (source) WHERE k.expected_minor <> m.amount
    UNION ALL
    SELECT DISTINCT 'ledger_unexplained', m.source, NULL::bigint, m.amount, m.asset
    FROM moved m JOIN ({_NEEDS}) AS need (kind, what, with_payment)
         ON need.kind = m.kind AND (NOT need.with_payment OR m.payment_id IS NOT NULL)
    WHERE NOT EXISTS (SELECT FROM known k WHERE k.source = m.source AND k.what = need.what)
    UNION ALL
    SELECT 'ledger_unexplained', m.source, NULL, m.amount, m.asset FROM moved m
    WHERE m.kind NOT IN ({_SELF_EXPLAINING}) AND m.kind NOT IN (SELECT kind FROM ({_NEEDS}) AS need (kind, w, p)))
SELECT (SELECT count(*) FROM moved) AS compared, d.*
FROM (SELECT) AS one LEFT JOIN differing d ON true"""  # noqa: S608 - constants

# What billing has of the day, and the ledger does not.
_UNBOOKED = """
SELECT 'charge_unbooked' AS what, c.charge_id AS reference, -c.amount_minor AS here_minor, NULL::bigint AS there_minor,
       a.currency AS asset
FROM charges c JOIN accounts a USING (account_id)
WHERE c.occurred_at >= $1 AND c.occurred_at < $2 AND c.transaction_id IS NOT NULL
  AND NOT EXISTS (SELECT FROM ledger_transactions t WHERE t.source = c.transaction_id)
UNION ALL
SELECT 'bill_unbooked', b.bill_id, coalesce(p.amount_minor, b.amount_minor), NULL, b.currency
FROM bill_payments p JOIN bills b USING (bill_id)
WHERE p.paid_at >= $1 AND p.paid_at < $2
  AND NOT EXISTS (SELECT FROM ledger_transactions t WHERE t.source = p.transaction_id)
UNION ALL
SELECT 'state_differs', p.payment_id, p.amount_minor, NULL, p.currency FROM payments p
WHERE p.settled_at >= $1 AND p.settled_at < $2 AND p.state = 'succeeded'
  AND NOT EXISTS (SELECT FROM ledger_transactions t WHERE t.source = p.transaction_id)"""

# The lines of the day's files, against the payments of their numbers; and, where a file is complete, what went back
# here on the day and has no line. What went back is compared as a sum, for it may come in parts: up to the end of the
# day on both sides, or all that is known by now, because around midnight the two may name different days.
_RECORDS = """
WITH lines AS (
    SELECT channel, provider_reference, kind FROM provider_records WHERE day = $1
    UNION
    SELECT p.channel, p.provider_reference, back.kind
    FROM (SELECT payment_id, 'refund' AS kind FROM payment_refunds
          WHERE state = 'succeeded' AND settled_at >= $2 AND settled_at < $3
          UNION SELECT payment_id, 'chargeback' FROM payment_chargebacks
          WHERE occurred_at >= $2 AND occurred_at < $3) AS back
    JOIN payments p USING (payment_id) JOIN provider_files f ON f.channel = p.channel AND f.day = $1
    WHERE p.provider_reference IS NOT NULL),
found AS (
    SELECT l.*, coalesce(r.amount_minor, 0) AS amount_minor, coalesce(r.currency, p.currency) AS currency, r.by_now,
           p.payment_id, p.amount_minor AS paid_minor, p.currency AS paid_currency, p.state,
           back.by_day AS back_minor, back.by_now AS back_by_now
    FROM lines l
    CROSS JOIN LATERAL (
        SELECT (sum(amount_minor) FILTER (WHERE day <= $1))::bigint AS amount_minor, min(currency) AS currency,
               coalesce(sum(amount_minor), 0)::bigint AS by_now FROM provider_records
        WHERE channel = l.channel AND provider_reference = l.provider_reference AND kind = l.kind) AS r
    LEFT JOIN payments p ON p.channel = l.channel AND p.provider_reference = l.provider_reference
    CROSS JOIN LATERAL (
        SELECT -coalesce(sum(b.amount_minor) FILTER (WHERE b.at < $3), 0)::bigint AS by_day,
               -coalesce(sum(b.amount_minor), 0)::bigint AS by_now
        FROM (SELECT amount_minor, settled_at AS at FROM payment_refunds
              WHERE payment_id = p.payment_id AND state = 'succeeded' AND l.kind = 'refund'
              UNION ALL SELECT amount_minor, occurred_at FROM payment_chargebacks
              WHERE payment_id = p.payment_id AND l.kind = 'chargeback') AS b) AS back),
differing AS (
    SELECT 'payment_missing_here' AS what, channel || ' ' || provider_reference AS reference,
           NULL::bigint AS here_minor, amount_minor AS there_minor, NULL::text AS here_currency,
           currency AS there_currency
    FROM found WHERE payment_id IS NULL
    UNION ALL
    SELECT 'state_differs', payment_id, paid_minor, amount_minor, paid_currency, currency
    FROM found WHERE kind = 'payment' AND state <> 'succeeded'
    UNION ALL
    SELECT 'amount_differs', payment_id, paid_minor, amount_minor, paid_currency, currency
    FROM found WHERE kind = 'payment' AND state = 'succeeded'
      AND (paid_minor, paid_currency) <> (amount_minor, currency)
    UNION ALL
    SELECT 'amount_differs', payment_id, back_minor, amount_minor, paid_currency, currency
    FROM found WHERE kind <> 'payment' AND payment_id IS NOT NULL
      AND (paid_currency <> currency OR (back_minor <> amount_minor AND back_by_now <> by_now)))
SELECT (SELECT count(*) FROM found) AS compared, d.* FROM (SELECT) AS one LEFT JOIN differing d ON true"""

# A file that is not complete says nothing of what it has not. A provider may have put a payment of around midnight into
# the file of a day beside.
_MISSING_THERE = """
SELECT 'payment_missing_there' AS what, p.payment_id AS reference, p.amount_minor AS here_minor,
       NULL::bigint AS there_minor, p.currency AS asset
FROM payments p JOIN provider_files f ON f.channel = p.channel AND f.day = $1
WHERE p.settled_at >= $2 AND p.settled_at < $3 AND p.state = 'succeeded'
  AND NOT EXISTS (SELECT FROM provider_records r WHERE r.channel = p.channel
                  AND r.provider_reference = p.provider_reference AND r.kind = 'payment')"""

_ADD_RECORDS = """
INSERT INTO provider_records (channel, provider_reference, kind, amount_minor, currency, settled_at, day, recorded_at)
SELECT $1, n.*, $7, $8
FROM unnest($2::text::text[], $3::text::text[], $4::text::bigint[], $5::text::text[], $6::text::timestamptz[]) AS n
ON CONFLICT DO NOTHING RETURNING 1"""
_ADD_FILE = "INSERT INTO provider_files (channel, day, recorded_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"


class Compared(NamedTuple):
    """How many things were compared, and which of them do not agree."""

    compared: int
    differences: list[Difference]


async def compare_portion(connection: AsyncConnection, portion: Portion) -> Compared:
    """The ledger's transactions of a portion of a closed day, against what they came from."""
    return _compared(await fetch(connection, _COMPARE, *portion.arguments), portion.day.day)


async def find_unbooked(connection: AsyncConnection, day: BookDay) -> list[Difference]:
    """Charges, payments of bills and payments of the day that the ledger does not know."""
    return [_difference(row, day.day) for row in await fetch(connection, _UNBOOKED, *day.span)]


async def compare_records(connection: AsyncConnection, day: BookDay) -> Compared:
    """The lines of the providers' files of the day, against payments; and what went back here, against these files."""
    return _compared(await fetch(connection, _RECORDS, day.day, *day.span), day.day)


async def compare_payments(connection: AsyncConnection, day: BookDay) -> list[Difference]:
    """Payments that succeeded on the day and are in no file of their providers, where the day's file is complete."""
    return [_difference(row, day.day) for row in await fetch(connection, _MISSING_THERE, day.day, *day.span)]


async def add_provider_records(connection: AsyncConnection, wanted: ImportRecords, recorded_at: datetime) -> int:
    """Stores lines that are not there yet; how many that were. The last part makes the file complete."""
    records = wanted.records
    added = await fetch(
        connection,
        _ADD_RECORDS,
        wanted.channel,
        array_of_texts([each.provider_reference for each in records]),
        array_of_texts([each.kind for each in records]),
        array_of_numbers([each.amount.minor_units for each in records]),
        array_of_texts([each.amount.currency for each in records]),
        array_of_instants([each.settled_at for each in records]),
        wanted.day,
        recorded_at,
    )
    if wanted.last:
        await fetch(connection, _ADD_FILE, wanted.channel, wanted.day, recorded_at)
    return len(added)


def _compared(rows: Sequence[Row], day: date) -> Compared:
    return Compared(rows[0]["compared"], [_difference(row, day) for row in rows if row["what"] is not None])


def _difference(row: Row, day: date) -> Difference:
    here, there = (row["asset"],) * 2 if "asset" in row else (row["here_currency"], row["there_currency"])
    return Difference(
        kind=DifferenceKind(row["what"]),
        reference=row["reference"],
        day=day,
        here=None if row["here_minor"] is None else Money(row["here_minor"], here),
        there=None if row["there_minor"] is None else Money(row["there_minor"], there),
    )
