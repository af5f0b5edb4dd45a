"""What giving points costs: by batches beside the very statements, and one by one beside an empty method.

Members are spread over 2,000 customers; every item has its claim, its posting, its reply and its event, and the events
are published to NATS meanwhile. The statements of a batch are written down while the use case carries one out, and
pgbench sends them, with other names and numbers, on accounts of its own in a database beside.
"""

import itertools
from datetime import UTC, datetime
from functools import partial
from typing import Any

import grpc
import uvloop
from chassis import outbox
from chassis.calendar import Calendar
from chassis.database import open_engine
from chassis.embedded.databases import Database
from chassis.process import run as run_process
from chassis.times import to_proto
from chassis.work import Ask, Transaction, Work
from member.__main__ import PROCESS
from member.api.rendering import many
from member.domain.customer import Customer, CustomerId, CustomerKind
from member.domain.membership import Holder
from member.domain.program import GENERAL
from member.settings import MemberSettings
from member.use_cases import earning, memberships
from member.use_cases.customers import UpsertCustomer, upsert_customers
from member.wire import FACTS
from member.wire import points as wire
from sqlalchemy import text
from touchstone.member.v1 import customer_service_pb2 as customer_pb
from touchstone.member.v1 import customer_service_pb2_grpc as customer_grpc
from touchstone.member.v1 import member_pb2
from touchstone.member.v1 import membership_service_pb2 as membership_pb
from touchstone.member.v1 import membership_service_pb2_grpc as membership_grpc
from touchstone.member.v1 import points_service_pb2 as pb
from touchstone.member.v1 import points_service_pb2_grpc as points_grpc

from benchmarks.serving import Call, Servers, measured, migrated, servers, with_empty_method
from benchmarks.serving.beside import BATCH, CLIENTS, ROUND, ROUNDS, Script, Wanted, beside_empty_method, beside_pgbench
from benchmarks.serving.statements import CLIENT, NUMBER, naming, script_of, written_down

CUSTOMERS = 2_000
POINTS = 10
JANUARY = datetime(2026, 1, 1, tzinfo=UTC)
AT = to_proto(JANUARY)
SCOPES = ("member.write", "member.read", "points.write")
# Counters of the sample that pgbench's variables stand for.
VERSION, BALANCE = 700_000_007, 900_000_000_009
_PRIME = text("UPDATE ledger_accounts SET version = :version, balance = :balance, in_lots = :balance WHERE id LIKE :id")


def run() -> list[dict[str, object]]:
    """Measure on servers of their own."""
    with servers() as among:
        return uvloop.run(_compare(among))


async def _compare(among: Servers) -> list[dict[str, object]]:
    async with measured(among, __file__, "member", SCOPES) as service:
        await enrol(service.channel, CUSTOMERS)
        one_by_one = [Wanted("member.points.unary64", earn_call(service.channel), 0.5)]
        unary = await beside_empty_method(service, one_by_one)
        theirs = await migrated(among, __file__, "theirs")
        batches = Wanted("member.points.batch100", batch_call(service.channel), 0.4, "points entries")
        script = Script(await _script(theirs, among.nats.url), theirs.owner_url)
        return [await beside_pgbench(among, service, batches, script), *unary]


async def _script(database: Database, nats_url: str) -> str:
    """Members for every round and client, and what a batch of points for a hundred of them sends."""
    values: Any = {"database_url": database.owner_url, "nats_url": nats_url, "jwks": "unused", "database_pool_size": 2}
    settings = MemberSettings(**values)
    engine = open_engine(settings, "member")
    work = Work(engine, FACTS, now=lambda: JANUARY)
    names = [f"{number}-{client}" for number in range(ROUNDS) for client in range(CLIENTS)]
    for name in [*names, f"{ROUND}-{CLIENT}"]:
        await work.run(partial(_enrol, name=name))
    async with engine.begin() as connection:
        values = {"version": VERSION - 1, "balance": BALANCE - POINTS, "id": f"points:m-{ROUND}-{CLIENT}-%"}
        await connection.execute(_PRIME, values)
    give = many(partial(earning.award_points, calendar=Calendar(settings.zone)), wire.awarded_to_proto)
    asks = [_ask(slot) for slot in range(BATCH)]
    ids = (f"e-{ROUND}-{CLIENT}-{NUMBER}-{number}" for number in itertools.count())
    async with written_down(engine) as sent:
        with naming(outbox, ids):
            outcomes = await work.answer_many("earn_points", asks, give, pb.EarnPointsResponse)
    assert all(isinstance(outcome, pb.EarnPointsResponse) for outcome in outcomes), outcomes
    await engine.dispose()
    return script_of(sent, {VERSION: ":n + 1", BALANCE: f"{POINTS} * (:n + 1)"})


def _ask(slot: int) -> Ask[earning.AwardPoints]:
    name = f"{ROUND}-{CLIENT}-{NUMBER}-{slot}"
    holder = Holder(CustomerId(f"c-{ROUND}-{CLIENT}-{slot}"), GENERAL)
    command = earning.AwardPoints(f"t-{name}", holder, POINTS, "survey", JANUARY, expires_at=None)
    return Ask("benchmark", f"r-{name}", bytes(32), command)


async def _enrol(transaction: Transaction, *, name: str) -> None:
    """A hundred members whose names say whose they are."""
    customers = [
        Customer(CustomerId(f"c-{name}-{slot}"), CustomerKind.HOUSEHOLD, "n", (), (), registered_at=JANUARY)
        for slot in range(BATCH)
    ]
    await upsert_customers(transaction, [UpsertCustomer(each) for each in customers])
    ids = iter([f"m-{name}-{slot}" for slot in range(BATCH)])
    with naming(memberships, ids):
        commands = [memberships.EnrolCustomer(Holder(each.customer_id, GENERAL), JANUARY) for each in customers]
        await memberships.enrol_customers(transaction, commands)


async def enrol(channel: grpc.aio.Channel, count: int) -> None:
    """Customers `c-0` … made members."""
    customers: Any = customer_grpc.CustomerServiceStub(channel)
    memberships: Any = membership_grpc.MembershipServiceStub(channel)
    for first in range(0, count, 1000):
        names = [f"c-{number}" for number in range(first, min(first + 1000, count))]
        putting = [
            customer_pb.UpsertCustomerRequest(
                request_id=name,
                customer=member_pb2.Customer(
                    customer_id=name,
                    kind=member_pb2.CUSTOMER_KIND_HOUSEHOLD,
                    display_name=name,
                    registered_at=AT,
                ),
            )
            for name in names
        ]
        await customers.BatchUpsertCustomers(customer_pb.BatchUpsertCustomersRequest(requests=putting))
        enrolling = [membership_pb.EnrolRequest(request_id=name, customer_id=name, occurred_at=AT) for name in names]
        reply = await memberships.BatchEnrol(membership_pb.BatchEnrolRequest(requests=enrolling))
        assert all(result.HasField("response") for result in reply.results)


_NUMBERS = itertools.count()


def _request() -> pb.EarnPointsRequest:
    number = next(_NUMBERS)
    customer = number * 7919 % CUSTOMERS
    return pb.EarnPointsRequest(
        request_id=f"earn-{number}", customer_id=f"c-{customer}", points=10, reason="survey", occurred_at=AT
    )


def earn_call(channel: grpc.aio.Channel) -> Call:
    """Points for one member."""
    stub: Any = points_grpc.PointsServiceStub(channel)

    async def earn() -> object:
        return await stub.EarnPoints(_request())

    return earn


def batch_call(channel: grpc.aio.Channel) -> Call:
    """Points for a hundred."""
    stub: Any = points_grpc.PointsServiceStub(channel)

    async def earn() -> object:
        reply = await stub.BatchEarnPoints(pb.BatchEarnPointsRequest(requests=[_request() for _ in range(BATCH)]))
        assert all(result.HasField("response") for result in reply.results)
        return reply

    return earn


if __name__ == "__main__":
    run_process(with_empty_method(PROCESS, "points.write"))
