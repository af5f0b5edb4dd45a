"""Stored means of payment and automatic top-up in the database."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.ids import AccountId, BillId
from billing.domain.payment import PaymentId, TokenId
from billing.domain.top_up import ALARM_SPAN, Pause, Token, TopUpRule

_COLUMNS = "account_id, token_id, channel, provider_token, display_name, expires_at, stored_at, removed_at"
_PUT_TOKEN = text(f"""
INSERT INTO payment_tokens ({_COLUMNS}, recorded_at)
VALUES (:account_id, :token_id, :channel, :provider_token, :display_name, :expires_at, :stored_at, NULL, :recorded_at)
ON CONFLICT (account_id, token_id) DO UPDATE SET channel = excluded.channel, provider_token = excluded.provider_token,
    display_name = excluded.display_name, expires_at = excluded.expires_at, stored_at = excluded.stored_at,
    removed_at = NULL, recorded_at = excluded.recorded_at
""")  # noqa: S608 - a constant of this module
_REMOVE_TOKEN = text("""
UPDATE payment_tokens SET removed_at = :removed_at WHERE account_id = :account_id AND token_id = :token_id
""")
_FIND_TOKENS = text(f"""
SELECT {_COLUMNS} FROM payment_tokens
WHERE (account_id, token_id) IN (
    SELECT * FROM unnest(CAST(:account_ids AS text[]), CAST(:token_ids AS text[])))
""")  # noqa: S608 - a constant of this module
_LIST_TOKENS = text(f"""
SELECT {_COLUMNS} FROM payment_tokens
WHERE account_id = :account_id AND removed_at IS NULL AND token_id > :after ORDER BY token_id LIMIT :limit
""")  # noqa: S608 - a constant of this module
_PUT_RULE = text("""
INSERT INTO top_up_rules (account_id, token_id, minimum_minor, monthly_limit_minor, enabled, declines, next_attempt_at,
                          paused_because, recorded_at)
VALUES (:account_id, :token_id, :minimum_minor, :monthly_limit_minor, :enabled, :declines, :next_attempt_at,
        :paused_because, :recorded_at)
ON CONFLICT (account_id) DO UPDATE SET token_id = excluded.token_id, minimum_minor = excluded.minimum_minor,
    monthly_limit_minor = excluded.monthly_limit_minor, enabled = excluded.enabled, declines = excluded.declines,
    next_attempt_at = excluded.next_attempt_at, paused_because = excluded.paused_because,
    recorded_at = excluded.recorded_at
""")
_RULES = text("""
SELECT r.*, a.currency, EXISTS (SELECT FROM payments p WHERE p.account_id = r.account_id AND p.origin = 'top_up'
                    AND p.state IN ('requested', 'pending')) AS in_flight
FROM top_up_rules r JOIN accounts a USING (account_id)
WHERE r.account_id = ANY(CAST(:account_ids AS text[])) ORDER BY r.account_id
""")
# It starts from the accounts that are crossed, by an index of these, for there may be a rule for every account.
# Of what is asked of each crossed account, the oldest that nothing on its way covers. What is sent for a document
# covers that; what else is on its way covers all of them together, and what they lack then is asked for at once.
DUE = text("""
WITH asked AS (
    SELECT b.account_id, b.bill_id, b.bill_number,
           b.amount_minor - coalesce((SELECT sum(note.amount_minor) FROM bills note
                                      WHERE note.corrects_bill_id = b.bill_id AND note.kind = 'credit_note'), 0)
               AS remaining_minor,
           coalesce((SELECT sum(p.amount_minor) FROM payments p WHERE p.account_id = b.account_id
                     AND p.bill_id = b.bill_id AND p.state IN ('requested', 'pending') AND p.counts), 0) AS sent_minor
    FROM top_up_rules r
    JOIN accounts a ON a.account_id = r.account_id AND a.crossed_version IS NOT NULL
    JOIN bills b ON b.account_id = a.account_id AND b.kind <> 'credit_note'
    WHERE r.enabled AND r.paused_because = '' AND (r.next_attempt_at IS NULL OR r.next_attempt_at <= :as_of)
      AND NOT EXISTS (SELECT FROM bill_payments paid WHERE paid.bill_id = b.bill_id)
      AND NOT EXISTS (SELECT FROM bill_closures closed WHERE closed.bill_id = b.bill_id)
      AND NOT EXISTS (SELECT FROM payments p WHERE p.account_id = r.account_id AND p.origin = 'top_up'
                      AND p.state IN ('requested', 'pending'))),
whole AS (
    SELECT account_id, sum(greatest(remaining_minor - sent_minor, 0)) AS lacking_minor,
           coalesce((SELECT sum(p.amount_minor) FROM payments p WHERE p.account_id = asked.account_id
                     AND p.state IN ('requested', 'pending') AND p.counts), 0) - sum(least(remaining_minor, sent_minor))
               AS coming_minor
    FROM asked GROUP BY account_id)
SELECT DISTINCT ON (asked.account_id) asked.account_id, asked.bill_id, asked.remaining_minor::bigint,
       (CASE WHEN whole.coming_minor > 0 THEN whole.lacking_minor - whole.coming_minor
             ELSE asked.remaining_minor - asked.sent_minor END)::bigint AS missing_minor
FROM asked JOIN whole USING (account_id)
WHERE asked.remaining_minor > asked.sent_minor AND whole.lacking_minor > whole.coming_minor
ORDER BY asked.account_id, asked.bill_number LIMIT :limit
""")
_HISTORY = text("""
SELECT p.account_id,
       coalesce(sum(p.amount_minor) FILTER (
           WHERE p.requested_at >= :month_start AND p.requested_at < :month_end
             AND p.state IN ('requested', 'pending', 'succeeded')), 0)::bigint AS this_month_minor,
       count(*) FILTER (WHERE p.requested_at > :lately_after AND p.requested_at <= :as_of)::integer AS lately
FROM payments p
WHERE p.account_id = ANY(CAST(:account_ids AS text[])) AND p.origin = 'top_up'
  AND p.requested_at >= least(CAST(:month_start AS timestamptz), CAST(:lately_after AS timestamptz))
GROUP BY p.account_id
""")
_ATTEMPTS = text("""
SELECT bill_id, max(attempt) AS attempts FROM top_up_attempts
WHERE bill_id = ANY(CAST(:bill_ids AS text[])) GROUP BY bill_id
""")
_ADD_ATTEMPTS = text("""
INSERT INTO top_up_attempts (bill_id, attempt, payment_id, recorded_at)
SELECT n.bill_id, n.attempt, n.payment_id, CAST(:recorded_at AS timestamptz)
FROM unnest(CAST(:bill_ids AS text[]), CAST(:attempts AS integer[]), CAST(:payment_ids AS text[]))
     AS n(bill_id, attempt, payment_id)
""")


class History(NamedTuple):
    """What a rule has done of late: its payments of this month that count, and how many there were just now."""

    this_month_minor: int = 0
    lately: int = 0


class DueBill(NamedTuple):
    """An open document that its account's rule may pay: what it still asks for, and what is to be paid. That is less
    where a part is on its way, and may be more where a part of several documents is."""

    account_id: AccountId
    bill_id: BillId
    remaining_minor: int
    missing_minor: int


class AttemptOf(NamedTuple):
    """The payment that was asked for a bill, and the how manieth it is."""

    bill_id: BillId
    attempt: int
    payment_id: PaymentId


async def put_token(connection: AsyncConnection, token: Token, recorded_at: datetime) -> None:
    """Stores a means of payment, in place of the one of its name."""
    columns = {
        "account_id": token.account_id,
        "token_id": token.token_id,
        "channel": token.channel,
        "provider_token": token.provider_token,
        "display_name": token.display_name,
        "expires_at": token.expires_at,
        "stored_at": token.stored_at,
    }
    await connection.execute(_PUT_TOKEN, {**columns, "recorded_at": recorded_at})


async def remove_token(connection: AsyncConnection, token: Token, removed_at: datetime) -> None:
    """Marks a means of payment as removed."""
    key = {"account_id": token.account_id, "token_id": token.token_id}
    await connection.execute(_REMOVE_TOKEN, {**key, "removed_at": removed_at})


async def find_tokens(
    connection: AsyncConnection, wanted: Iterable[tuple[AccountId, TokenId]]
) -> dict[tuple[AccountId, TokenId], Token]:
    """Stored means of payment, removed ones among them."""
    keys = sorted(set(wanted))
    asked = {"account_ids": [key[0] for key in keys], "token_ids": [key[1] for key in keys]}
    return {
        (each.account_id, each.token_id): each for each in map(_token, await connection.execute(_FIND_TOKENS, asked))
    }


async def list_tokens(
    connection: AsyncConnection, account_id: AccountId, *, after: str | None, limit: int
) -> list[Token]:
    """At most `limit` means of payment that were not removed, by identity."""
    asked = {"account_id": account_id, "after": after or "", "limit": limit}
    return [_token(row) for row in await connection.execute(_LIST_TOKENS, asked)]


async def put_rules(connection: AsyncConnection, rules: Iterable[TopUpRule], recorded_at: datetime) -> None:
    """Stores rules of locked accounts as they stand now."""
    rows = [
        {
            "account_id": each.account_id,
            "token_id": each.token_id,
            "minimum_minor": each.minimum_minor,
            "monthly_limit_minor": each.monthly_limit_minor,
            "enabled": each.enabled,
            "declines": each.declines,
            "next_attempt_at": each.next_attempt_at,
            "paused_because": each.paused_because or "",
            "recorded_at": recorded_at,
        }
        for each in rules
    ]
    if rows:
        await connection.execute(_PUT_RULE, rows)


async def find_rules(connection: AsyncConnection, account_ids: Iterable[AccountId]) -> dict[AccountId, TopUpRule]:
    """The rules of accounts that have one."""
    rows = await connection.execute(_RULES, {"account_ids": sorted(set(account_ids))})
    return {rule.account_id: rule for rule in map(_rule, rows)}


async def due_bills(connection: AsyncConnection, as_of: datetime, limit: int) -> list[DueBill]:
    """Open documents of accounts whose rule may act by now, the oldest of each account for which there is something to
    pay, by the account's identity."""
    rows = await connection.execute(DUE, {"as_of": as_of, "limit": limit})
    return [DueBill(row.account_id, row.bill_id, row.remaining_minor, row.missing_minor) for row in rows]


async def histories(
    connection: AsyncConnection,
    account_ids: Iterable[AccountId],
    *,
    month: tuple[datetime, datetime],
    as_of: datetime,
) -> dict[AccountId, History]:
    """What the rules of accounts did in a month (its first instant, and the first of the next) and just before now."""
    asked = {
        "account_ids": sorted(set(account_ids)),
        "month_start": month[0],
        "month_end": month[1],
        "lately_after": as_of - ALARM_SPAN,
        "as_of": as_of,
    }
    rows = await connection.execute(_HISTORY, asked)
    return {row.account_id: History(row.this_month_minor, row.lately) for row in rows}


async def attempts_of(connection: AsyncConnection, bill_ids: Iterable[BillId]) -> dict[BillId, int]:
    """How many payments were asked for bills; those without one are left out."""
    rows = await connection.execute(_ATTEMPTS, {"bill_ids": sorted(set(bill_ids))})
    return {BillId(bill_id): attempts for bill_id, attempts in rows}


async def add_attempts(connection: AsyncConnection, attempts: Iterable[AttemptOf], recorded_at: datetime) -> None:
    """Appends which payments were asked for which bills."""
    made = list(attempts)
    if made:
        asked = {
            "bill_ids": [each.bill_id for each in made],
            "attempts": [each.attempt for each in made],
            "payment_ids": [each.payment_id for each in made],
            "recorded_at": recorded_at,
        }
        await connection.execute(_ADD_ATTEMPTS, asked)


def _token(row: Row[*tuple[Any, ...]]) -> Token:
    return Token(
        account_id=row.account_id,
        token_id=row.token_id,
        channel=row.channel,
        provider_token=row.provider_token,
        display_name=row.display_name,
        expires_at=row.expires_at,
        stored_at=row.stored_at,
        removed_at=row.removed_at,
    )


def _rule(row: Row[*tuple[Any, ...]]) -> TopUpRule:
    return TopUpRule(
        account_id=row.account_id,
        token_id=row.token_id,
        currency=row.currency,
        minimum_minor=row.minimum_minor,
        monthly_limit_minor=row.monthly_limit_minor,
        enabled=row.enabled,
        declines=row.declines,
        next_attempt_at=row.next_attempt_at,
        paused_because=Pause(row.paused_because) if row.paused_because else None,
        in_flight=row.in_flight,
    )
