"""Killed again and again under a load of every kind of call: what was answered stands, what was not is found out by
asking again, and each thing happened once: in the books, among the bills, and in the stream."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from billing.__main__ import PROCESS
from chassis.embedded import NatsServer, PostgresServer, remove_data
from chassis.errors import Code
from chassis.testing import Databases, Keys, Templates
from chassis.testing.processes import ServiceProcess, until
from touchstone.billing.v1 import catalog_service_pb2 as catalog_pb
from touchstone.common.v1 import operations_service_pb2 as operations
from touchstone.common.v1 import operations_service_pb2_grpc

from services.billing.tests.accounting import (
    Books,
    expect_balances,
    expect_bills,
    expect_each_once,
    expect_told,
    open_books,
)
from services.billing.tests.acts import ACCOUNTS, PLANS, Ask, opening
from services.billing.tests.bills import CHASED
from services.billing.tests.calls import cny, fields, put_plan
from services.billing.tests.catalog import calls_by_minute, once, price, product, tiered
from services.billing.tests.load import Load

FROM_OUTSIDE = ""
POINTS = ("work.after_commit", "relay.before_mark", "work.before_commit", FROM_OUTSIDE)
# What a load comes to without fail, if it is one: else the rest of this file would show little.
TOLD_OF = {"AccountCharged", "AccountRecharged", "GiftGranted", "GiftExpired", "ChargeRefunded", "RechargeReversed"} | {
    *("BillIssued", "BillPaid", "BillClosed", "BillCredited", "BalanceRestored", "OrderPlaced", "SubscriptionChanged")
}
SEALED = "SELECT coalesce(sum(transactions), 0) FROM ledger_seals"


class Blow(NamedTuple):
    """How a service ends: at its so manieth passage of a point, or after so many more answers from outside."""

    point: str
    after: int


@pytest.fixture
async def billing(database: Databases, nats: NatsServer, keys: Keys, tmp_path: Path) -> AsyncIterator[ServiceProcess]:
    """The billing service, not started yet; it seals its books by itself."""
    made = ServiceProcess(await database(PROCESS), nats, keys, tmp_path, "billing")
    yield made
    await made.close()


@pytest.fixture
def postgres_that_lasts(scratch: Path) -> Iterator[PostgresServer]:
    """A PostgreSQL that keeps what it acknowledged when it is killed, as the one for all tests does not."""
    server = PostgresServer(scratch / "lasting")
    server.start()
    yield server
    server.stop()
    remove_data(scratch / "lasting")


@pytest.fixture
async def lasting(
    postgres_that_lasts: PostgresServer, nats: NatsServer, keys: Keys, tmp_path: Path
) -> AsyncIterator[ServiceProcess]:
    """The billing service on that PostgreSQL, not started yet."""
    database = await Databases(Templates(postgres_that_lasts))(PROCESS)
    made = ServiceProcess(database, nats, keys, tmp_path, "billing")
    yield made
    await made.close()


def blows(dice: random.Random, count: int) -> list[Blow]:
    """So many ends, of every kind by turns."""
    kinds = [POINTS[number % len(POINTS)] for number in range(count)]
    dice.shuffle(kinds)
    return [Blow(point, dice.randint(50, 150)) for point in kinds]


async def populate(load: Load) -> None:
    """Plans, products and accounts, by calls as any others."""
    high = {"plan_id": PLANS[1], "threshold": cny(80_00), "target_balance": cny(120_00)}
    for plan in ({"plan_id": PLANS[0]}, high):
        chased = {"due_days": 2, "overdue_steps": CHASED}
        await load.ask(Ask("PutBillPlan", [put_plan(f"plan-{plan['plan_id']}", **plan, **chased)]))
    sold = (
        (product(), price()),
        (once(), price(product_id="box", amount=cny(30_00))),
        (calls_by_minute(), tiered()),
    )
    for one, of in sold:
        name = one.product_id
        await load.ask(Ask("PutProduct", [catalog_pb.PutProductRequest(request_id=f"put-{name}", product=one)]))
        await load.ask(Ask("PutPrice", [catalog_pb.PutPriceRequest(request_id=f"price-{name}", price=of)]))
    accounts = [opening(number, load.town.now) for number in range(len(ACCOUNTS))]
    await load.ask(Ask("OpenAccount", accounts, batch=True))
    assert len(load.answers) == 8 + len(ACCOUNTS), load.refused


async def fall(load: Load, blow: Blow) -> set[str]:
    """Ends the service and leaves it so. What was done and never answered."""
    if blow.point == FROM_OUTSIDE:
        await load.answered(blow.after)
        code = await load.process.kill()
    else:
        code = await load.process.killed()
    assert code == -9, blow
    await load.pause()
    books = await open_books(load.process.database)
    claims = await books.column("SELECT request_id FROM handled_requests")
    await books.connection.close()
    return load.unanswered & set(claims)


async def proven(load: Load) -> None:
    """The service's own proof, with every transaction under a seal."""
    books = await open_books(load.process.database)

    async def sealed() -> bool:
        return await books.number(SEALED) == await books.number("SELECT count(*) FROM ledger_transactions")

    await until(sealed, "the books are sealed")
    await books.connection.close()
    stub = operations_service_pb2_grpc.OperationsServiceStub(load.process.open_channel())
    proof = await stub.Prove(operations.ProveRequest())
    assert len(proof.checks) > 20
    assert [check for check in proof.checks if not check.holds] == []


async def expect_agreement(load: Load) -> set[str]:
    """Everybody agrees: callers, books, bills, outbox and stream. The names of what was told."""
    reasons = {(each.code, *fields(each)) for each in load.refused.values()}
    no_change = (Code.INVALID_ARGUMENT, "product_id")  # the subscription was like that already
    assert (Code.FAILED_PRECONDITION,) in reasons
    assert reasons <= {(Code.FAILED_PRECONDITION,), no_change}, load.refused
    await load.process.kill()
    await load.pause()
    await load.start()  # it seals what there is when it starts
    await load.repeat_all()
    await load.process.settle()
    await proven(load)
    books: Books = await open_books(load.process.database)
    await expect_each_once(load, books)
    rows = await expect_told(books, load.process.nats)
    await expect_bills(books, rows)
    await expect_balances(load, books, rows)
    await books.connection.close()
    return {row.name for row in rows}


async def begun(process: ServiceProcess, seed: int) -> Load:
    """A load under way."""
    load = Load(process, seed)
    await load.start()
    await populate(load)
    load.begin()
    await load.answered(50)
    return load


async def play(billing: ServiceProcess, seed: int, kills: int) -> None:
    """A load, and so many ends of the service in it, the first from outside."""
    load, unheard = await begun(billing, seed), set[str]()
    for blow in (Blow(FROM_OUTSIDE, 150), *blows(random.Random(seed), kills - 1)):
        if not load.served:
            await load.start(f"{blow.point}:kill@{blow.after}" if blow.point else "")
        unheard |= await fall(load, blow)
    await load.start()
    await load.answered(150)
    await load.end()
    assert load.lost >= kills, "each end cut somebody off"
    assert unheard, "something was done whose caller was never told"
    assert await expect_agreement(load) >= TOLD_OF


async def test_killed_again_and_again_each_call_has_one_effect(billing: ServiceProcess) -> None:
    await play(billing, seed=1, kills=4)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 5))
async def test_killed_for_long_each_call_has_one_effect(billing: ServiceProcess, seed: int) -> None:
    await play(billing, seed, kills=40)


async def test_while_the_broker_falls_no_call_is_lost_and_each_thing_is_told_once(billing: ServiceProcess) -> None:
    load = await begun(billing, seed=11)
    for _ in range(2):
        billing.nats.kill()
        await load.answered(150)
        assert (await billing.status()).outbox_unpublished
        billing.nats.start()
        await load.answered(150)
    await load.end()
    assert load.lost == 0
    await expect_agreement(load)


async def test_when_its_database_falls_each_call_has_one_effect(
    postgres_that_lasts: PostgresServer, lasting: ServiceProcess
) -> None:
    load = await begun(lasting, seed=12)
    for _ in range(2):
        postgres_that_lasts.kill()
        before = load.lost
        while load.lost < before + 10:
            await asyncio.sleep(0.01)
        postgres_that_lasts.start()
        await load.answered(150)
    await load.end()
    await expect_agreement(load)
