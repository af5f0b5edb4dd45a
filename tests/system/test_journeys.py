"""Whole journeys through the whole platform, with a process killed, the broker away, and the streams deleted midway;
and the examples, as their readers run them."""

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from os import environ
from typing import Any

import grpc
import httpx
import nats as nats_client
import pytest
from chassis import clock
from chassis.times import to_proto
from demo.boss import Boss, moment
from demo.checks import look
from demo.purchases import Purchase, PurchaseFile, read_purchases
from demo.replay import replay
from demo.scenario import APP, CURRENCY
from touchstone.billing.v1 import account_service_pb2 as account_pb
from touchstone.billing.v1 import bill_service_pb2 as bill_pb
from touchstone.billing.v1 import charging_service_pb2 as charging_pb
from touchstone.common.v1 import operations_service_pb2 as operations
from touchstone.common.v1.common_pb2 import Money
from touchstone.member.v1 import points_service_pb2 as member
from touchstone.touchpoint.v1 import touchpoint_pb2
from touchstone.touchpoint.v1 import touchpoint_service_pb2 as touchpoint

from tests.system.conftest import World, lost_in

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATIENCE_SECONDS = 60.0
OUTAGE_SECONDS = 30.0
FILE = PurchaseFile.SAMPLE
DAY = date(1997, 6, 2)
NOW = datetime(1997, 6, 2, 13, tzinfo=UTC)


async def insist(call: Callable[[], Awaitable[Any]]) -> Any:
    """Repeats a call with the same request id while its service is away, as every client of the platform does."""
    deadline = clock.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return await call()
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE or clock.monotonic() > deadline:
                raise
        except httpx.HTTPStatusError as error:
            if error.response.status_code != 503 or clock.monotonic() > deadline:
                raise
        await asyncio.sleep(0.2)


async def post(world: World, path: str, key: str, body: dict[str, Any], *, token: str = "") -> Any:
    """A write through the gateway by the customer's own app, or by who holds the token."""
    bearer = token or world.touchstone.member_token("c-journey")
    headers = {"Authorization": f"Bearer {bearer}", "Idempotency-Key": key}
    response = await world.touchstone.gateway.post(f"/v1/customers/c-journey{path}", headers=headers, json=body)
    response.raise_for_status()
    return response.json()


async def home(world: World) -> Any:
    """The member's home page."""
    headers = {"Authorization": f"Bearer {world.touchstone.member_token('c-journey')}"}
    at = to_proto(NOW).ToJsonString()
    response = await world.touchstone.gateway.get(
        "/v1/customers/c-journey/home", headers=headers, params={"as_of": at, "touchpoint": APP}
    )
    response.raise_for_status()
    return response.json()


async def died(world: World, name: str) -> None:
    """Waits until a process has been killed by its crash point and has been started again."""
    deadline = clock.monotonic() + PATIENCE_SECONDS
    while not (f"{name} started again" in world.said and await world.platform.ready(name)):
        assert clock.monotonic() < deadline, world.said
        await asyncio.sleep(0.05)
    assert any(each.startswith(f"{name} ended (SIGKILL)") for each in world.said)
    world.said.clear()


async def test_a_journey_goes_on_while_billing_is_killed_twice(world: World) -> None:
    await Boss(world.touchstone, FILE).register([Purchase(1, "journey", DAY, 1, 0)])
    await _top_up_while_killed(world)
    await _charge_while_killed(world)
    await _expect_what_follows(world)
    await _meet(world)
    await world.agrees()


async def _top_up_while_killed(world: World) -> None:
    await world.platform.restart("billing", extra_env={"FAILPOINT": "work.after_commit:kill@1"})
    recharge = {
        "amount": {"minor_units": 20_000, "currency": CURRENCY},
        "channel": "app",
        "occurred_at": to_proto(NOW).ToJsonString(),
    }
    till, path = world.touchstone.till_token(), "/accounts/a-journey/recharges"
    recharged = await insist(lambda: post(world, path, "top-up", recharge, token=till))
    assert recharged == await post(world, path, "top-up", recharge, token=till)
    await died(world, "billing")


async def _charge_while_killed(world: World) -> None:
    to = world.touchstone
    await world.platform.restart("billing", extra_env={"FAILPOINT": "relay.before_mark:kill@1"})
    charge = charging_pb.ChargeRequest(
        request_id="film",
        account_id="a-journey",
        amount=Money(minor_units=19_500, currency=CURRENCY),
        description="film",
        occurred_at=to_proto(NOW),
    )
    charged = await insist(lambda: to.charging.Charge(charge, timeout=20))
    assert charged.balance_after.minor_units == 500
    await died(world, "billing")
    await insist(to.quiet)


async def _expect_what_follows(world: World) -> None:
    to = world.touchstone
    bills = (await to.bills.ListBills(bill_pb.ListBillsRequest(customer_id="c-journey"))).bills
    assert [each.amount.minor_units for each in bills] == [2_500]  # up to the plan's target of 30.00
    earned = await to.points.ListPointsEntries(member.ListPointsEntriesRequest(customer_id="c-journey"))
    assert len(earned.entries) == 2, "one for the recharge, one for the order"
    page = await home(world)
    assert len(page["offers"]) == 2, "the welcome and the low balance wait"


async def _meet(world: World) -> None:
    to = world.touchstone
    shown = await post(world, f"/touchpoints/{APP}/present", "visit", {"occurred_at": to_proto(NOW).ToJsonString()})
    again = await post(world, f"/touchpoints/{APP}/present", "visit", {"occurred_at": to_proto(NOW).ToJsonString()})
    assert shown == again
    (contact,) = shown["contacts"]
    await to.contacts.RecordOutcome(
        touchpoint.RecordOutcomeRequest(
            request_id="yes",
            contact_id=contact["contact_id"],
            customer_id="c-journey",
            outcome=touchpoint_pb2.OUTCOME_ACCEPTED,
            occurred_at=to_proto(NOW),
        )
    )
    await to.quiet()
    kept = await to.contacts.ListContacts(touchpoint.ListContactsRequest(customer_id="c-journey"))
    assert [each.outcome for each in kept.contacts] == [touchpoint_pb2.OUTCOME_ACCEPTED]
    assert len((await home(world))["offers"]) == 1


async def steady(world: World, until: asyncio.Event) -> int:
    """Tops up by one cent five times a second; every call must succeed. How many it made."""
    account, done = "a-steady", 0
    await Boss(world.touchstone, FILE).register([Purchase(1, "steady", DAY, 1, 0)])
    while not until.is_set():
        done += 1
        request = account_pb.RechargeRequest(
            request_id=f"steady-{done}",
            account_id=account,
            customer_id="c-steady",
            amount=Money(minor_units=1, currency=CURRENCY),
            channel="counter",
            occurred_at=to_proto(NOW),
        )
        assert (await world.touchstone.accounts.Recharge(request, timeout=10)).balance_after.minor_units == done
        await asyncio.sleep(0.2)
    return done


async def expect_each_charged_once(world: World, purchases: list[Purchase]) -> None:
    """Each purchase is charged and evented once, to the cent, proofs hold and nothing is missing."""
    seen = await look(world.touchstone)
    lines = {f"{FILE.value}:{each.line}": each.amount_minor for each in purchases}
    charged = [each for each in seen.charged if each.description in lines]
    assert Counter(each.description for each in charged) == Counter(lines.keys())
    assert {each.description: each.amount.minor_units for each in charged} == lines
    assert seen.figures.shown_twice == 0
    assert len(world.partner.verified) == seen.deliveries["DELIVERED"]
    assert world.partner.refused == 0
    await world.agrees()


def first_purchases(start: int, stop: int) -> list[Purchase]:
    """Purchases in order of time."""
    return sorted(read_purchases(FILE), key=moment)[start:stop]


async def test_half_a_minute_without_the_broker_fails_no_call_and_loses_nothing(world: World) -> None:
    purchases, over = first_purchases(0, 300), asyncio.Event()
    calls = asyncio.create_task(steady(world, over))
    world.platform.nats.kill()
    replaying = asyncio.create_task(replay(world.touchstone, FILE, purchases, lambda _: None))
    await asyncio.sleep(OUTAGE_SECONDS)
    assert not replaying.done(), "the replay waits for its events"
    states = [await stub.GetStatus(operations.GetStatusRequest()) for stub in world.touchstone.operations.values()]
    assert not any(each.broker_up for each in states)
    assert sum(each.outbox_unpublished for each in states) > len(purchases) / 2
    world.platform.nats.start()
    replayed = await replaying
    over.set()
    done = await calls
    await world.touchstone.quiet()
    assert len(replayed.purchases) == len(purchases)
    statement = await world.touchstone.accounts.GetAccount(account_pb.GetAccountRequest(account_id="a-steady"))
    assert statement.account.balance.minor_units == done > 20
    await expect_each_charged_once(world, purchases)


async def test_deleted_streams_are_rebuilt_and_what_was_lost_is_told_again(world: World) -> None:
    boss = Boss(world.touchstone, FILE)
    others = {each.customer for each in first_purchases(0, 300)}  # who may be known from another journey
    sold = [each for each in first_purchases(300, 7000) if each.customer not in others][:40]
    await boss.register(list({each.customer: each for each in reversed(sold)}.values()))
    await world.touchstone.quiet()
    for name in ("member", "campaign", "scoring", "touchpoint"):
        await world.platform.stop(name)  # so that the streams alone hold what billing tells
    await boss.sell(sold)
    await _published(world)
    await _delete_streams(world)
    await asyncio.gather(*(world.platform.restart(each) for each in ("member", "campaign", "scoring", "touchpoint")))
    await insist(world.touchstone.quiet)
    code, printed = await world.command("reconcile")
    assert (code, lost_in(printed)["billing"] >= len(sold)) == (0, True), printed
    await world.touchstone.quiet()
    await expect_each_charged_once(world, sold)


async def _published(world: World) -> None:
    deadline = clock.monotonic() + PATIENCE_SECONDS
    while (await world.touchstone.operations["billing"].GetStatus(operations.GetStatusRequest())).outbox_unpublished:
        assert clock.monotonic() < deadline
        await asyncio.sleep(0.05)


async def _delete_streams(world: World) -> None:
    connection = await nats_client.connect(world.platform.nats.url)
    for name in ("EVENTS", "INTAKE"):
        await connection.jetstream().delete_stream(name)
    await connection.close()


async def example(world: World, *words: str) -> str:
    """What a script of the examples prints; it must end well."""
    command = [sys.executable, *words, "--data", str(world.platform.folder.root)]
    process = await asyncio.create_subprocess_exec(
        *command, env={**environ, "COLUMNS": "160"}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    printed = (await process.communicate())[0].decode()
    assert process.returncode == 0, printed
    return printed


async def test_the_example_of_a_channel_app_shows_what_it_says(world: World) -> None:
    for _ in range(2):
        printed = await example(world, "examples/channel_app.py")
        for line in (
            "signed in, day 7 of the streak: 5 points and a coupon",
            "signed in already today",
            "Fan now; 565 points to Gold",
            "bought for 200 of 435 points",
            "11.00 yuan off, 64.00 yuan to pay",
            "spend 125.00 CNY more",
            "redeemed 2 coupons",
            "spent 200, expired 0, closing 235",
            "403 NOT_YOUR_CUSTOMER",
        ):
            assert line in printed, f"{line}\n{printed}"


async def test_the_example_of_a_customers_year_adds_up_month_by_month(world: World) -> None:
    printed = await example(world, "examples/customer_year.py")
    assert "a year played: 5 bills" in printed, printed
    assert "charge_refund" in printed, printed
    assert "Bill No." in printed, printed


async def test_the_example_of_boss_migrates_and_takes_it_back(world: World) -> None:
    printed = await example(world, "examples/boss_migration.py", "--customers", "60")
    for line in (
        "60 customers put",
        "plan.rules[3].condition: line 1, column 57",
        "the right plan is put as version 1",
        "0 moves stay",
    ):
        assert line in printed, f"{line}\n{printed}"
    before, after, in_the_end = (line.partition(": ")[2] for line in printed.splitlines() if "members " in line)
    assert before == in_the_end != after, printed
    await world.agrees()
