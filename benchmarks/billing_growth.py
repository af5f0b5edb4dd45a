"""What a statement's page and a payment notice cost of an account with 100,000 entries, beside one with 100.

Both accounts lived for the same 390 days, which were closed one after the other as the service does each night, and
both have had forty charges since they last came back to their threshold: so both answers say as much. The calls are
made to the one and the other in turns. The figure is that of the call which loses most.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import uvloop
from billing.__main__ import PROCESS
from chassis import clock
from chassis.database import async_url
from chassis.process import run as run_process
from chassis.times import to_proto
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from touchstone.billing.v1 import notice_service_pb2 as pb
from touchstone.billing.v1 import notice_service_pb2_grpc as notice_grpc
from touchstone.billing.v1 import proof_service_pb2 as proof_pb
from touchstone.billing.v1 import proof_service_pb2_grpc as proof_grpc

from benchmarks.serving import Measured, Servers, in_turns, measured, peak_memory_mb, servers, with_empty_method

FEW, MANY = 100, 100_000
SINCE_BACK = 40
DAYS, LATELY = 390, 10
ROUNDS = 5
ROUND_SECONDS = 3.0
# 1.3 times the cost is 1 / 1.3 of the rate.
TARGET = 0.769
SCOPES = ("billing.read", "billing.jobs")

# A recharge, charges of 10 spread evenly over the days, a bill's payment, and the charges since then in the last days.
_HISTORY = """
WITH given AS (
    SELECT CAST(:account AS text) AS account, CAST(:balance AS text) AS balance_id, CAST(:count AS integer) AS count,
           CAST(:back AS integer) AS back, CAST(:paid_in AS bigint) AS paid_in, CAST(:starts AS timestamptz) AS starts,
           CAST(:lately AS timestamptz) AS lately, CAST(:now AS timestamptz) AS now),
entered AS (
    SELECT n, CASE WHEN n IN (1, back) THEN paid_in ELSE -10 END AS amount,
           CASE WHEN n IN (1, back) THEN 'bill_payment' ELSE 'charge' END AS kind,
           CASE WHEN n <= back THEN starts + (n - 1) * (lately - starts) / back
                ELSE lately + (n - back) * (now - lately) / (count - back + 1) END AS occurred_at
    FROM given, generate_series(1, count) AS n),
named AS (
    SELECT n, amount, kind, occurred_at, account, balance_id, kind || ':' || account || '-' || n AS source,
           sum(amount) OVER (ORDER BY n) AS balance
    FROM entered, given),
booked AS (
    INSERT INTO ledger_transactions (source, kind, asset, occurred_at, recorded_at, metadata)
    SELECT source, kind, 'CNY', occurred_at, occurred_at, '{"note": "TV basic"}' FROM named),
charged AS (
    INSERT INTO charges (charge_id, account_id, amount_minor, description, transaction_id, occurred_at, recorded_at)
    SELECT account || '-' || n, account, 10, 'TV basic', source, occurred_at, occurred_at
    FROM named WHERE kind = 'charge'),
stands AS (
    UPDATE ledger_accounts SET version = given.count, balance = (SELECT sum(amount) FROM named)
    FROM given WHERE id = given.balance_id)
INSERT INTO ledger_entries (source, line, account_id, amount, held_change, account_version, balance_after, held_after,
                            floor, occurred_at)
SELECT source, 0, balance_id, amount, 0, n, balance, 0, 0, occurred_at FROM named
UNION ALL
SELECT source, 1, kind, -amount, NULL, NULL, NULL, NULL, NULL, occurred_at FROM named
"""
_ACCOUNT = """
INSERT INTO accounts (account_id, customer_id, currency, opened_at, recorded_at)
VALUES (:account, 'c', 'CNY', :starts, :starts)
"""
_BALANCE = "INSERT INTO ledger_accounts (id, asset, opened_at) VALUES (:balance, 'CNY', :starts)"
_BILL = """
INSERT INTO bills (bill_id, bill_number, account_id, customer_id, currency, amount_minor, balance_at_issue_minor,
                   threshold_minor, issued_at, due_at, recorded_at)
VALUES (:account, :count, :account, 'c', 'CNY', :paid_in, 0, 100, :starts, :lately, :starts)
"""
_PAID = """
INSERT INTO bill_payments (bill_id, transaction_id, paid_at, recorded_at)
VALUES (:account, :payment, :lately, :lately)
"""


def run() -> list[dict[str, object]]:
    """Measure on servers of their own."""
    with servers() as among:
        return uvloop.run(_compare(among))


async def _compare(among: Servers) -> list[dict[str, object]]:
    async with measured(among, __file__, "billing", SCOPES) as service:
        now = clock.now().astimezone(UTC)
        starts = now - timedelta(days=DAYS)
        proof = proof_grpc.ProofServiceStub(service.channel)
        await proof.TakeSnapshot(proof_pb.TakeSnapshotRequest(request_id="first", as_of=to_proto(starts)))
        for count in (FEW, MANY):
            await _load(service, count, starts, now)
        await proof.TakeSnapshot(proof_pb.TakeSnapshotRequest(request_id="all", as_of=to_proto(now)))
        results = [await _measure(service, name, ask) for name, ask in _calls(service, starts, now).items()]
    worst = min(results, key=lambda each: float(str(each["ratio"])))
    return [{**worst, "name": "billing.growth", "target": TARGET}, *results]


async def _load(service: Measured, count: int, starts: datetime, now: datetime) -> None:
    values: dict[str, Any] = {
        "account": f"a{count}",
        "balance": f"balance:a{count}",
        "count": count,
        "back": count - SINCE_BACK,
        "paid_in": count * 10,
        "payment": f"bill_payment:a{count}-{count - SINCE_BACK}",
        "starts": starts,
        "lately": now - timedelta(days=LATELY),
        "now": now,
    }
    engine = create_async_engine(async_url(service.database_url))
    async with engine.begin() as connection:
        for statement in (_ACCOUNT, _BALANCE, _HISTORY, _BILL, _PAID):
            asked = text(statement)
            await connection.execute(asked, {name: values[name] for name in asked.compile().params})
    async with engine.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(text("ANALYZE"))
    await engine.dispose()


def _calls(service: Measured, starts: datetime, now: datetime) -> dict[str, Callable[[str], Awaitable[object]]]:
    notices = notice_grpc.NoticeServiceStub(service.channel)
    first, last = to_proto(starts + timedelta(days=DAYS - 365)), to_proto(now)

    async def statement(account_id: str) -> object:
        return await notices.GetStatement(pb.GetStatementRequest(account_id=account_id, start=first, end=last))

    async def notice(account_id: str) -> object:
        found = await notices.GetPaymentNotice(pb.GetPaymentNoticeRequest(account_id=account_id))
        assert len(found.notice.lines) == SINCE_BACK, len(found.notice.lines)
        return found

    return {"statement": statement, "notice": notice}


async def _measure(service: Measured, name: str, ask: Callable[[str], Awaitable[object]]) -> dict[str, object]:
    calls = [partial(ask, f"a{count}") for count in (FEW, MANY)]
    few, many = await in_turns(calls, rounds=ROUNDS, seconds=ROUND_SECONDS)
    return {
        "name": f"billing.growth.{name}",
        "value": round(many),
        "unit": "calls/s",
        "baseline": f"the same call ({name}) of an account with {FEW} entries instead of {MANY:,}",
        "baseline_value": round(few),
        "ratio": round(many / few, 3),
        "peak_memory_mb": peak_memory_mb(service.server.pid),
    }


if __name__ == "__main__":
    run_process(with_empty_method(PROCESS, "billing.read"))
