"""How the round of top-ups finds what is due: however many rules there are, it reads what is due and little else."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from billing.store.top_up import DUE, due_bills
from chassis.database import async_url
from chassis.testing import Database
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from services.billing.tests.factories import OCCURRED_AT

RULES, DUE_NOW, CROSSED_WITHOUT = 100_000, 10, 50
READ_AT_MOST = 1_000
"""Far more than what is due takes, and far less than a walk over the rules."""

AT = f"'{OCCURRED_AT}'::timestamptz"
# Every rule is enabled, and every account had a bill once, which is closed. A few accounts are crossed: with a rule and
# a bill, and without a rule.
FILLED = f"""
INSERT INTO accounts (account_id, customer_id, currency, opened_at, recorded_at)
SELECT 'a' || n, 'c' || n, 'CNY', {AT}, {AT} FROM generate_series(1, {RULES} + {CROSSED_WITHOUT}) AS n;
INSERT INTO payment_tokens (account_id, token_id, channel, provider_token, display_name, stored_at, recorded_at)
SELECT 'a' || n, 'card', 'sandbox', 'alias-' || n, 'card', {AT}, {AT} FROM generate_series(1, {RULES}) AS n;
INSERT INTO top_up_rules (account_id, token_id, minimum_minor, enabled, recorded_at)
SELECT 'a' || n, 'card', 0, true, {AT} FROM generate_series(1, {RULES}) AS n;
UPDATE accounts SET crossed_threshold_minor = 5000, crossed_version = 2, crossed_cause = 'debit', crossed_at = {AT}
WHERE account_id IN (SELECT 'a' || n * 1000 FROM generate_series(1, {DUE_NOW}) AS n)
   OR account_id IN (SELECT 'a' || {RULES} + n FROM generate_series(1, {CROSSED_WITHOUT}) AS n);
INSERT INTO bills (bill_id, bill_number, account_id, customer_id, currency, amount_minor, balance_at_issue_minor,
                   threshold_minor, transaction_id, issued_at, due_at, recorded_at, crossing_version, cause)
SELECT 'old' || n, n, 'a' || n, 'c' || n, 'CNY', 6000, 4000, 5000, 'old' || n, {AT}, {AT}, {AT}, 1, 'debit'
FROM generate_series(1, {RULES}) AS n UNION ALL
SELECT 'b' || n, {RULES} + n, 'a' || n * 1000, 'c' || n * 1000, 'CNY', 6000, 4000, 5000, 't' || n, {AT}, {AT}, {AT},
       2, 'debit' FROM generate_series(1, {DUE_NOW}) AS n;
INSERT INTO bill_closures (bill_id, because, occurred_at, recorded_at)
SELECT 'old' || n, 'restored', {AT}, {AT} FROM generate_series(1, {RULES}) AS n;
ANALYZE
"""


@pytest.fixture
async def filled(fresh: Database) -> AsyncIterator[AsyncConnection]:
    """A database of many rules, of which few have something to do."""
    engine = create_async_engine(async_url(fresh.owner_url))
    async with engine.begin() as connection:
        for statement in FILLED.split(";\n"):
            await connection.exec_driver_sql(statement)
    async with engine.connect() as connection:
        yield connection
    await engine.dispose()


async def test_a_round_over_many_rules_reads_what_is_due(filled: AsyncConnection) -> None:
    due = await due_bills(filled, OCCURRED_AT, 200)
    assert {each.account_id for each in due} == {f"a{n * 1000}" for n in range(1, DUE_NOW + 1)}

    explained = text(f"EXPLAIN (ANALYZE, FORMAT JSON) {DUE.text}")
    plan = (await filled.execute(explained, {"as_of": OCCURRED_AT, "limit": 200})).scalar_one()

    (top,) = plan if isinstance(plan, list) else json.loads(plan)
    read = [(f"{node['Node Type']} of {node['Relation Name']}", _rows(node)) for node in _scans(top["Plan"])]
    assert sum(rows for _, rows in read) >= DUE_NOW, read
    assert sum(rows for _, rows in read) <= READ_AT_MOST, read


def _scans(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The nodes of a plan that read a table."""
    if "Relation Name" in node:
        yield node
    for inner in node.get("Plans", ()):
        yield from _scans(inner)


def _rows(node: dict[str, Any]) -> int:
    """How many rows a node read, with those that it threw away."""
    thrown = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return int((node["Actual Rows"] + thrown) * node["Actual Loops"])
