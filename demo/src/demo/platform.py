"""The running platform as the demo reaches it: a stub for each service, the gateway, and waiting until all is quiet."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from chassis import clock
from chassis.rpc.client import open_channel
from local import SERVICES, Platform
from touchstone.billing.v1 import account_service_pb2_grpc as account_grpc
from touchstone.billing.v1 import bill_service_pb2_grpc as bill_grpc
from touchstone.billing.v1 import catalog_service_pb2_grpc as catalog_grpc
from touchstone.billing.v1 import charging_service_pb2_grpc as charging_grpc
from touchstone.billing.v1 import notice_service_pb2_grpc as notice_grpc
from touchstone.billing.v1 import order_service_pb2_grpc as order_grpc
from touchstone.campaign.v1 import campaign_service_pb2_grpc as campaign
from touchstone.common.v1 import operations_service_pb2 as operations
from touchstone.common.v1 import operations_service_pb2_grpc
from touchstone.member.v1 import coupon_service_pb2_grpc as coupon_grpc
from touchstone.member.v1 import customer_service_pb2_grpc as customer_grpc
from touchstone.member.v1 import earning_service_pb2_grpc as earning_grpc
from touchstone.member.v1 import membership_service_pb2_grpc as membership_grpc
from touchstone.member.v1 import points_service_pb2_grpc as points_grpc
from touchstone.member.v1 import shop_service_pb2_grpc as shop_grpc
from touchstone.scoring.v1 import scoring_service_pb2_grpc as scoring
from touchstone.touchpoint.v1 import touchpoint_service_pb2_grpc as touchpoint

_QUIET_SECONDS = 180.0
# How long a call of the replay may take; a scoring run over all customers is the longest.
_CALL_SECONDS = 120.0


class NotQuiet(RuntimeError):
    """The platform still works on events after a long time."""


@dataclass(frozen=True, slots=True)
class Touchstone:
    """Everything the replay calls."""

    platform: Platform
    customers: Any
    memberships: Any
    points: Any
    earning: Any
    coupons: Any
    shop: Any
    accounts: Any
    charging: Any
    bills: Any
    catalog: Any
    orders: Any
    notices: Any
    campaigns: Any
    decisions: Any
    touchpoints: Any
    contacts: Any
    partners: Any
    runs: Any
    operations: dict[str, Any]
    gateway: httpx.AsyncClient

    def member_token(self, customer_id: str) -> str:
        """A token as a channel app gets it for one member."""
        scopes = ["member.read", "billing.read", "billing.recharge", "touchpoint.read", "touchpoint.present"]
        scopes += ["scoring.read", "engagement.write", "coupons.write"]
        return self.platform.token(scopes, customer_id, subject=f"app:{customer_id}")

    def till_token(self) -> str:
        """A token of the channel app's own till: it has taken the money, whosever account that is for."""
        return self.platform.token(["billing.recharge"], subject="till")

    async def quiet(self) -> None:
        """Waits until every outbox is published and every event is handled, seen twice in a row."""
        deadline, seen = clock.monotonic() + _QUIET_SECONDS, 0
        while seen < 2:
            request = operations.GetStatusRequest()
            states = await asyncio.gather(*(stub.GetStatus(request) for stub in self.operations.values()))
            waiting = {each.service: (each.outbox_unpublished, each.consumer_pending) for each in states}
            seen = seen + 1 if all(pair == (0, 0) for pair in waiting.values()) else 0
            if clock.monotonic() > deadline:
                raise NotQuiet(f"still at work (unpublished, waiting): {waiting}")
            await asyncio.sleep(0.03)


@asynccontextmanager
async def reached(platform: Platform) -> AsyncIterator[Touchstone]:
    """The platform with a token that may do everything."""
    token = platform.token()
    channels = {name: open_channel(platform.addresses.grpc(name), lambda: token, retries=True) for name in SERVICES}
    async with httpx.AsyncClient(base_url=platform.addresses.gateway_url, timeout=30.0, trust_env=False) as gateway:
        yield Touchstone(
            platform=platform,
            customers=customer_grpc.CustomerServiceStub(channels["member"]),
            memberships=membership_grpc.MembershipServiceStub(channels["member"]),
            points=points_grpc.PointsServiceStub(channels["member"]),
            earning=earning_grpc.EarningServiceStub(channels["member"]),
            coupons=coupon_grpc.CouponServiceStub(channels["member"]),
            shop=shop_grpc.ShopServiceStub(channels["member"]),
            accounts=account_grpc.AccountServiceStub(channels["billing"]),
            charging=charging_grpc.ChargingServiceStub(channels["billing"]),
            bills=bill_grpc.BillServiceStub(channels["billing"]),
            catalog=catalog_grpc.CatalogServiceStub(channels["billing"]),
            orders=order_grpc.OrderServiceStub(channels["billing"]),
            notices=notice_grpc.NoticeServiceStub(channels["billing"]),
            campaigns=campaign.CampaignServiceStub(channels["campaign"]),
            decisions=campaign.DecisionServiceStub(channels["campaign"]),
            touchpoints=touchpoint.TouchpointServiceStub(channels["touchpoint"]),
            contacts=touchpoint.ContactServiceStub(channels["touchpoint"]),
            partners=touchpoint.PartnerServiceStub(channels["touchpoint"]),
            runs=scoring.RunServiceStub(channels["scoring"]),
            operations={
                name: operations_service_pb2_grpc.OperationsServiceStub(channel) for name, channel in channels.items()
            },
            gateway=gateway,
        )
    for channel in channels.values():
        await channel.close()


async def all_pages(call: Any, request: Any, field: str) -> list[Any]:
    """Every item of a list call."""
    items: list[Any] = []
    while True:
        page = await call(request, timeout=_CALL_SECONDS)
        items += getattr(page, field)
        if not page.next_page_token:
            return items
        request.page_token = page.next_page_token


class ItemRefused(RuntimeError):
    """An item of a batch was refused, which the replay never expects."""


async def in_batches(call: Any, batch_type: Any, requests: list[Any]) -> list[Any]:
    """Sends requests in batches of 1000 and returns the replies in order; a refused item stops the replay."""
    replies = []
    for start in range(0, len(requests), 1000):
        batch = batch_type(requests=requests[start : start + 1000])
        for request, result in zip(batch.requests, (await call(batch, timeout=_CALL_SECONDS)).results, strict=True):
            if result.WhichOneof("result") == "error":
                raise ItemRefused(f"{result.error.message}: {request}")
            replies.append(result.response)
    return replies
