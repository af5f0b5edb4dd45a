"""What charging costs: by batches beside the very statements, and one by one beside an empty method.

Every charge has its claim, its posting, its row, its reply and its event, and the events are published to NATS
meanwhile. Accounts hang on a bill plan whose threshold they do not reach. The statements of a batch are written down
while the use case carries one out, and pgbench sends them, with other names and numbers, on accounts of its own in a
database beside. Charged one by one, the calls are spread over 2,000 accounts, or all fall on the same one.
"""

import itertools
from datetime import UTC, datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import grpc
import uvloop
from billing.__main__ import PROCESS
from billing.api.acting import replying
from billing.domain.account import OpenAccount
from billing.domain.ids import AccountId, CustomerId, PlanId
from billing.domain.wish import Charge
from billing.settings import BillingSettings
from billing.use_cases import account as accounts
from billing.use_cases import wish
from billing.use_cases.plan import put_bill_plan
from billing.wire import FACTS
from billing.wire.movement import charged_to_proto
from billing.wire.plan import plan_from_proto
from chassis import outbox
from chassis.calendar import Calendar
from chassis.database import open_engine
from chassis.embedded.databases import Database
from chassis.money import Money
from chassis.process import run as run_process
from chassis.times import to_proto
from chassis.work import Ask, Transaction, Work
from sqlalchemy import text
from touchstone.billing.v1 import account_service_pb2 as account_pb
from touchstone.billing.v1 import account_service_pb2_grpc as account_grpc
from touchstone.billing.v1 import bill_service_pb2 as bill_pb
from touchstone.billing.v1 import bill_service_pb2_grpc as bill_grpc
from touchstone.billing.v1 import billing_pb2
from touchstone.billing.v1 import charging_service_pb2 as pb
from touchstone.billing.v1 import charging_service_pb2_grpc as charging_grpc
from touchstone.common.v1 import common_pb2

from benchmarks.serving import Call, Servers, measured, migrated, servers, with_empty_method
from benchmarks.serving.beside import BATCH, CLIENTS, ROUND, ROUNDS, Script, Wanted, beside_empty_method, beside_pgbench
from benchmarks.serving.statements import CLIENT, NUMBER, naming, script_of, written_down

ACCOUNTS = 2_000
CHARGED, PAID_IN = 10, 10**9
JANUARY = datetime(2026, 1, 1, tzinfo=UTC)
AT = to_proto(JANUARY)
PLAN = PlanId("basic")
SCOPES = ("billing.write", "billing.read", "billing.charge", "billing.admin")
# Counters of the sample that pgbench's variables stand for.
VERSION, BALANCE = 700_000_007, 900_000_000_009
_STAND = text("UPDATE ledger_accounts SET version = :version, balance = :balance WHERE id LIKE :id")


def run() -> list[dict[str, object]]:
    """Measure on servers of their own."""
    with servers() as among:
        return uvloop.run(_compare(among))


async def _compare(among: Servers) -> list[dict[str, object]]:
    async with measured(among, __file__, "billing", SCOPES) as service:
        await open_accounts(service.channel, ACCOUNTS)
        spread = Wanted("billing.charge.unary64", charge_call(service.channel, ACCOUNTS), 0.5)
        hot = Wanted("billing.charge.hot", charge_call(service.channel, 1), 0.4)
        unary = await beside_empty_method(service, [spread, hot])
        theirs = await migrated(among, __file__, "theirs")
        batches = Wanted("billing.charge.batch100", batch_call(service.channel), 0.4, "charges")
        script = Script(await _script(theirs, among.nats.url), theirs.owner_url)
        return [await beside_pgbench(among, service, batches, script), *unary]


async def _script(database: Database, nats_url: str) -> str:
    """Accounts for every round and client, and what a batch of charges to a hundred of them sends."""
    values: Any = {"database_url": database.owner_url, "nats_url": nats_url, "jwks": "unused", "database_pool_size": 2}
    engine = open_engine(BillingSettings(**values), "billing")
    work = Work(engine, FACTS, now=lambda: JANUARY)
    names = [f"{number}-{client}" for number in range(ROUNDS) for client in range(CLIENTS)]
    await work.run(partial(put_bill_plan, wanted=plan_from_proto(_basic())))
    for name in [*names, f"{ROUND}-{CLIENT}"]:
        await work.run(partial(_open, name=name))
    async with engine.begin() as connection:
        await connection.execute(_STAND, {"version": 0, "balance": PAID_IN, "id": "balance:a-%"})
        sample = {"version": VERSION - 1, "balance": BALANCE + CHARGED, "id": f"balance:a-{ROUND}-{CLIENT}-%"}
        await connection.execute(_STAND, sample)
    charge = replying(partial(wish.charge_accounts, calendar=Calendar(ZoneInfo("UTC"))), charged_to_proto)
    asks = [_ask(slot) for slot in range(BATCH)]
    events = (f"e-{ROUND}-{CLIENT}-{NUMBER}-{number}" for number in itertools.count())
    charges = (f"c-{ROUND}-{CLIENT}-{NUMBER}-{number}" for number in itertools.count())
    async with written_down(engine) as sent:
        with naming(outbox, events), naming(wish, charges):
            outcomes = await work.answer_many("charge_account", asks, charge, pb.ChargeResponse)
    assert all(isinstance(outcome, pb.ChargeResponse) for outcome in outcomes), outcomes
    await engine.dispose()
    return script_of(sent, {VERSION: ":n + 1", BALANCE: f"{PAID_IN} - {CHARGED} * (:n + 1)"})


def _ask(slot: int) -> Ask[Charge]:
    name = f"{ROUND}-{CLIENT}-{NUMBER}-{slot}"
    account_id = AccountId(f"a-{ROUND}-{CLIENT}-{slot}")
    wish = Charge(account_id=account_id, amount=Money(CHARGED, "CNY"), description="call", occurred_at=JANUARY)
    return Ask("benchmark", f"r-{name}", bytes(32), wish)


async def _open(transaction: Transaction, *, name: str) -> None:
    """A hundred accounts whose names say whose they are."""
    wanted = [
        OpenAccount(
            account_id=AccountId(f"a-{name}-{slot}"),
            customer_id=CustomerId(f"c-{name}-{slot}"),
            currency="CNY",
            plan_id=PLAN,
            occurred_at=JANUARY,
        )
        for slot in range(BATCH)
    ]
    await accounts.open_accounts(transaction, wanted)


async def open_accounts(channel: grpc.aio.Channel, count: int) -> None:
    """Accounts `a-0` … on a plan, with money."""
    bills: Any = bill_grpc.BillServiceStub(channel)
    money: Any = account_grpc.AccountServiceStub(channel)
    await bills.PutBillPlan(bill_pb.PutBillPlanRequest(request_id="plan", plan=_basic()))
    for first in range(0, count, 1000):
        names = [f"a-{number}" for number in range(first, min(first + 1000, count))]
        opening = [
            account_pb.OpenAccountRequest(
                request_id=name, account_id=name, customer_id=name, currency="CNY", plan_id=PLAN, occurred_at=AT
            )
            for name in names
        ]
        await money.BatchOpenAccounts(account_pb.BatchOpenAccountsRequest(requests=opening))
        paying = [
            account_pb.RechargeRequest(
                request_id=name, account_id=name, amount=_cny(PAID_IN), channel="counter", occurred_at=AT
            )
            for name in names
        ]
        reply = await money.BatchRecharge(account_pb.BatchRechargeRequest(requests=paying))
        assert all(result.HasField("response") for result in reply.results)


_NUMBERS = itertools.count()


def _basic() -> billing_pb2.BillPlan:
    return billing_pb2.BillPlan(
        plan_id=PLAN, display_name="Basic", threshold=_cny(5000), target_balance=_cny(10000), due_days=14
    )


def _cny(minor_units: int) -> common_pb2.Money:
    return common_pb2.Money(minor_units=minor_units, currency="CNY")


def _request(request_id: str, account_id: str) -> pb.ChargeRequest:
    return pb.ChargeRequest(
        request_id=request_id, account_id=account_id, amount=_cny(CHARGED), description="call", occurred_at=AT
    )


def _next(among: int) -> pb.ChargeRequest:
    number = next(_NUMBERS)
    return _request(f"charge-{number}", f"a-{number * 7919 % among}")


def charge_call(channel: grpc.aio.Channel, among: int) -> Call:
    """A charge to one of so many accounts."""
    stub: Any = charging_grpc.ChargingServiceStub(channel)

    async def charge() -> object:
        return await stub.Charge(_next(among))

    return charge


def batch_call(channel: grpc.aio.Channel) -> Call:
    """Charges to a hundred."""
    stub: Any = charging_grpc.ChargingServiceStub(channel)

    async def charge() -> object:
        reply = await stub.BatchCharge(pb.BatchChargeRequest(requests=[_next(ACCOUNTS) for _ in range(BATCH)]))
        assert all(result.HasField("response") for result in reply.results)
        return reply

    return charge


if __name__ == "__main__":
    run_process(with_empty_method(PROCESS, "billing.charge"))
