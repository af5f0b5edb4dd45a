"""BOSS over gRPC and events: accounts and a usage product go in, usage is charged by the batch, bills come back.

Run it while `make up` runs. A bill is heard of as the event `BillIssued`, which the debit that crossed the threshold
told in its own transaction; BOSS collects the money its own way and pays the bills in one call.
"""

import asyncio
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import cyclopts
import grpc
import nats
from google.protobuf.timestamp_pb2 import Timestamp
from nats.js.api import DeliverPolicy
from rich.console import Console
from touchstone.billing.v1 import account_service_pb2 as account_pb
from touchstone.billing.v1 import account_service_pb2_grpc as account_grpc
from touchstone.billing.v1 import bill_service_pb2 as bill_pb
from touchstone.billing.v1 import bill_service_pb2_grpc as bill_grpc
from touchstone.billing.v1 import billing_events_pb2, billing_pb2, catalog_pb2, charging_pb2
from touchstone.billing.v1 import catalog_service_pb2 as catalog_service_pb
from touchstone.billing.v1 import catalog_service_pb2_grpc as catalog_grpc
from touchstone.billing.v1 import usage_service_pb2 as usage_pb
from touchstone.billing.v1 import usage_service_pb2_grpc as usage_grpc
from touchstone.common.v1.common_pb2 import Money

SUBJECT = f"events.{billing_events_pb2.BillIssued.DESCRIPTOR.full_name}"
PATIENCE_SECONDS = 10.0
console = Console(highlight=False, soft_wrap=True)


def yuan(amount: int) -> Money:
    """In fen."""
    return Money(minor_units=amount * 100, currency="CNY")


class Boss:
    """One run: what it makes is named after its instant, so that the script may be run as often as one likes."""

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        self.accounts: Any = account_grpc.AccountServiceStub(channel)
        self.bills: Any = bill_grpc.BillServiceStub(channel)
        self.catalog: Any = catalog_grpc.CatalogServiceStub(channel)
        self.usage: Any = usage_grpc.UsageServiceStub(channel)
        self._metadata = [("authorization", f"Bearer {token}")]
        self.now = Timestamp()
        self.now.GetCurrentTime()
        self.run = f"{datetime.now(UTC):%Y%m%d%H%M%S}"

    async def call(self, method: Any, request: Any) -> Any:
        """Calls, or ends with what the service says is wrong."""
        try:
            return await method(request, metadata=self._metadata, timeout=60.0)
        except grpc.aio.AioRpcError as error:
            raise SystemExit(f"{error.code().name}: {error.details()}") from None

    def account(self, number: int) -> str:
        """BOSS's own number of an account."""
        return f"boss-{self.run}-{number}"

    async def sell(self) -> None:
        """Minutes at 30 fen, past a hundred in a month at 20; a bill when less than 10 yuan are left, up to 50."""
        product = catalog_pb2.Product(
            product_id="boss-minutes", display_name="Minutes", kind=catalog_pb2.PRODUCT_KIND_USAGE, unit="minute"
        )
        put = catalog_service_pb.PutProductRequest(request_id=f"product-{self.run}", product=product)
        await self.call(self.catalog.PutProduct, put)
        tiers = [
            catalog_pb2.PriceTier(up_to=100, unit_price=catalog_pb2.UnitPrice(minor_units=30)),
            catalog_pb2.PriceTier(unit_price=catalog_pb2.UnitPrice(minor_units=20)),
        ]
        price = catalog_pb2.Price(
            product_id="boss-minutes",
            currency="CNY",
            effective_from=self.now,
            tier_mode=catalog_pb2.TIER_MODE_GRADUATED,
            tiers=tiers,
        )
        priced = catalog_service_pb.PutPriceRequest(request_id=f"price-{self.run}", price=price)
        await self.call(self.catalog.PutPrice, priced)
        plan = billing_pb2.BillPlan(
            plan_id="boss-plan", display_name="Boss", threshold=yuan(10), target_balance=yuan(50), due_days=14
        )
        await self.call(self.bills.PutBillPlan, bill_pb.PutBillPlanRequest(request_id=f"plan-{self.run}", plan=plan))

    async def open(self, count: int) -> None:
        """Accounts on the plan, with 20 yuan each, a batch of either."""
        opening = [
            account_pb.OpenAccountRequest(
                request_id=name,
                account_id=name,
                customer_id=name,
                currency="CNY",
                plan_id="boss-plan",
                occurred_at=self.now,
            )
            for name in map(self.account, range(count))
        ]
        await self.call(self.accounts.BatchOpenAccounts, account_pb.BatchOpenAccountsRequest(requests=opening))
        paying = [
            account_pb.RechargeRequest(
                request_id=f"pay-{one.account_id}",
                account_id=one.account_id,
                amount=yuan(20),
                channel="boss",
                occurred_at=self.now,
            )
            for one in opening
        ]
        await self.call(self.accounts.BatchRecharge, account_pb.BatchRechargeRequest(requests=paying))

    def minutes(self, number: int, quantity: int, **more: str) -> usage_pb.RecordUsageRequest:
        """A record of an account's minutes; its identity is the source's own."""
        usage_id = f"cdr-{self.account(number)}{more.pop('again', '')}"
        record = charging_pb2.UsageRecord(
            usage_id=usage_id,
            account_id=self.account(number),
            product_id="boss-minutes",
            quantity=quantity,
            occurred_at=self.now,
            **more,
        )
        return usage_pb.RecordUsageRequest(request_id=usage_id, usage=record)

    async def send(self, records: list[usage_pb.RecordUsageRequest], words: str) -> None:
        """A batch; every record says what became of it."""
        reply = await self.call(self.usage.BatchRecordUsage, usage_pb.BatchRecordUsageRequest(requests=records))
        standings = [one.response.standing for one in reply.results if one.HasField("response")]
        charged = sum(one.amount.minor_units for one in standings)
        console.print(f"{words}: {len(standings)} of {len(records)} taken, {charged / 100:.2f} yuan")

    async def pay(self, issued: list[billing_events_pb2.BillIssued]) -> None:
        """The bills that were heard of, in one call."""
        paying = [
            bill_pb.PayBillRequest(
                request_id=f"pay-{one.bill_id}", bill_id=one.bill_id, channel="boss", occurred_at=self.now
            )
            for one in issued
        ]
        reply = await self.call(self.bills.BatchPayBills, bill_pb.BatchPayBillsRequest(requests=paying))
        paid = sum(one.HasField("response") for one in reply.results)
        console.print(f"[green]{paid} bills paid, the first up to {issued[0].amount.minor_units / 100:.2f} yuan")


async def heard(events: Any, boss: Boss, count: int) -> list[billing_events_pb2.BillIssued]:
    """The bills of this run's accounts, as their events come; the same event may come twice."""
    found: dict[str, billing_events_pb2.BillIssued] = {}
    while len(found) < count:
        message = await events.next_msg(timeout=PATIENCE_SECONDS)
        bill = billing_events_pb2.BillIssued.FromString(message.data)
        if bill.account_id.startswith(f"boss-{boss.run}-"):
            found[bill.bill_id] = bill
    return list(found.values())


async def play(env: dict[str, str], count: int) -> None:
    """Accounts, usage, a repeat, a correction, and the bills."""
    broker = await nats.connect(env["NATS_URL"])
    async with grpc.aio.insecure_channel(env["BILLING_GRPC"]) as channel:
        boss = Boss(channel, env["TOKEN"])
        policy = DeliverPolicy.NEW
        events = await broker.jetstream().subscribe(SUBJECT, ordered_consumer=True, deliver_policy=policy)
        await boss.sell()
        await boss.open(count)
        await boss.send([boss.minutes(number, 40) for number in range(count)], "40 minutes each")
        await boss.send([boss.minutes(number, 40) for number in range(count)], "sent again")
        fixed = boss.minutes(0, 35, corrects_usage_id=f"cdr-{boss.account(0)}", again="-fixed")
        await boss.send([fixed], "one corrected to 35")
        await boss.pay(await heard(events, boss, count))
    await broker.close()


def main(
    *,
    accounts: Annotated[int, cyclopts.Parameter(help="How many accounts BOSS opens, 1000 at most.")] = 100,
    data: Annotated[Path, cyclopts.Parameter(help="Data folder of the platform.")] = Path(".local"),
) -> None:
    """Show how BOSS integrates with billing."""
    words = shlex.split((data / "env").read_text(encoding="utf-8"), comments=True)  # export NAME=value …
    asyncio.run(play(dict(word.split("=", 1) for word in words if "=" in word), accounts))


if __name__ == "__main__":
    cyclopts.run(main)
