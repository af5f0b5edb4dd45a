"""The membership desk: coupons given and sold for points, used on orders, anniversaries, a new version of the program.

The file says what was paid. A purchase on which a coupon is used had a list price that much higher, so what is left to
pay is what the file says, to the cent.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from chassis.times import to_proto
from touchstone.member.v1 import coupon_pb2, earning_pb2, shop_pb2
from touchstone.member.v1 import coupon_service_pb2 as coupon_pb
from touchstone.member.v1 import earning_service_pb2 as earning_pb
from touchstone.member.v1 import membership_service_pb2 as membership_pb
from touchstone.member.v1 import shop_service_pb2 as shop_pb

from demo.boss import lot, moment
from demo.platform import Touchstone, in_batches
from demo.purchases import Purchase
from demo.scenario import CURRENCY

TEMPLATE_ID, ITEM_ID, RULE_ID, PROGRAM_ID = "three-off", "three-off-voucher", "anniversary", "general"
DISCOUNT_MINOR = 300
PRICE_POINTS = 150
ANNIVERSARY_POINTS = 50
GIFTS_AFTER_WEEKS = 26
BEGINNING = datetime(1997, 1, 1, tzinfo=UTC)
SECOND_VERSION_FROM = datetime(1998, 1, 1, tzinfo=UTC)
_SILVER_POINTS = 250
_ONE_IN = 10


@dataclass(slots=True)
class Desk:
    """What the desk did, from the replies it got."""

    touchstone: Touchstone
    given: int = 0
    bought: int = 0
    redeemed: int = 0
    to_the_cent: int = 0
    holders: set[str] = field(default_factory=set)

    async def give(self, customers: Collection[str], when: datetime) -> None:
        """A coupon for every tenth customer."""
        requests = [
            coupon_pb.IssueCouponRequest(
                request_id=f"gift-{customer_id}",
                customer_id=customer_id,
                template_id=TEMPLATE_ID,
                reason="half a year with us",
                occurred_at=to_proto(when),
            )
            for customer_id in sorted(customers)
            if lot(customer_id, "gift") % _ONE_IN == 0
        ]
        call = self.touchstone.coupons.BatchIssueCoupons
        await in_batches(call, coupon_pb.BatchIssueCouponsRequest, requests)
        self.given += len(requests)
        self.holders.update(each.customer_id for each in requests)

    async def sell(self, customer_id: str, when: datetime) -> None:
        """The rewards shop in the app: who has the points for a voucher and none in the pocket buys one."""
        path = f"/v1/customers/{customer_id}/shop"
        headers = {"Authorization": f"Bearer {self.touchstone.member_token(customer_id)}"}
        at, gateway = to_proto(when).ToJsonString(), self.touchstone.gateway
        seen = await gateway.get(path, headers=headers, params={"as_of": at})
        seen.raise_for_status()
        (offer,) = seen.json()["offers"]
        if offer["obstacles"] or customer_id in self.holders:
            return
        ordered = await gateway.post(
            f"{path}/orders",
            headers=headers | {"Idempotency-Key": f"voucher-{customer_id}-{when.date()}"},
            json={"item_id": ITEM_ID, "points_expected": offer["points"], "occurred_at": at},
        )
        ordered.raise_for_status()
        self.bought += 1
        self.holders.add(customer_id)

    async def redeem(self, purchases: Sequence[Purchase]) -> None:
        """A day's purchases by customers with a coupon: the best that they hold is used."""
        for each in purchases:
            if f"c-{each.customer}" in self.holders and each.amount_minor:
                await self._redeem(each, f"c-{each.customer}")

    async def _redeem(self, purchase: Purchase, customer_id: str) -> None:
        to, when = self.touchstone.coupons, to_proto(moment(purchase))
        price = purchase.amount_minor + DISCOUNT_MINOR
        line = coupon_pb2.CouponOrderLine(product_id="cd", unit_price_minor_units=price, quantity=1)
        order = coupon_pb2.CouponOrder(currency=CURRENCY, lines=[line], channel="counter")
        quoted = await to.QuoteCoupons(
            coupon_pb.QuoteCouponsRequest(customer_id=customer_id, order=order, occurred_at=when)
        )
        if not quoted.pricing.parts:
            self.holders.discard(customer_id)  # what was there has expired
            return
        request = coupon_pb.RedeemCouponsRequest(
            request_id=f"redeem-{purchase.line}",
            customer_id=customer_id,
            order_id=f"order-{purchase.line}",
            order=order,
            coupon_ids=[part.coupon_id for part in quoted.pricing.parts],
            occurred_at=when,
        )
        reply = await to.RedeemCoupons(request)
        self.redeemed += len(reply.coupons)
        self.to_the_cent += reply.pricing.payable.minor_units == purchase.amount_minor
        self.holders.discard(customer_id)

    async def run_jobs(self, as_of: datetime) -> None:
        """What the calendar asks for, as of one business instant."""
        when, week = to_proto(as_of), as_of.date().isoformat()
        reward = earning_pb.RewardAnniversariesRequest(request_id=f"anniversaries-{week}", as_of=when)
        await self.touchstone.earning.RewardAnniversaries(reward, timeout=60)
        expire = coupon_pb.ExpireCouponsRequest(request_id=f"coupons-{week}", as_of=when)
        await self.touchstone.coupons.ExpireCoupons(expire, timeout=60)


async def open_desk(touchstone: Touchstone) -> None:
    """Puts the coupon, the shop's item, the rule for anniversaries, and what the program will be from 1998 on."""
    await _put_coupon(touchstone)
    await _put_item(touchstone)
    await _put_rule(touchstone)
    await _draft_program(touchstone)


async def _put_coupon(touchstone: Touchstone) -> None:
    terms = coupon_pb2.CouponTerms(
        display_name="3 dollars off",
        currency=CURRENCY,
        discount=coupon_pb2.CouponDiscount(amount_off_minor_units=DISCOUNT_MINOR),
        validity=coupon_pb2.CouponValidity(days=180),
        stacking=coupon_pb2.CouponStacking(exclusive=True),
    )
    put = coupon_pb.PutCouponTemplateRequest(request_id="template", template_id=TEMPLATE_ID, terms=terms)
    await touchstone.coupons.PutCouponTemplate(put)
    activate = coupon_pb.ActivateCouponTemplateRequest(request_id="template-on", template_id=TEMPLATE_ID)
    await touchstone.coupons.ActivateCouponTemplate(activate)


async def _put_item(touchstone: Touchstone) -> None:
    item = shop_pb2.ShopItem(
        item_id=ITEM_ID,
        kind=shop_pb2.SHOP_ITEM_KIND_CASH_OFF,
        texts=[shop_pb2.ShopItemText(language="en", title="3 dollars off")],
        prices=[shop_pb2.ShopItemPrice(tier_id=tier, points=PRICE_POINTS) for tier in ("standard", "silver", "gold")],
        coupon_template_id=TEMPLATE_ID,
        valid_from=to_proto(BEGINNING),
    )
    await touchstone.shop.PutShopItem(shop_pb.PutShopItemRequest(request_id="item", item=item))
    stock = shop_pb.ChangeShopStockRequest(request_id="stock", item_id=ITEM_ID, change=100_000, reason="printed")
    await touchstone.shop.ChangeShopStock(stock)


async def _put_rule(touchstone: Touchstone) -> None:
    rule = earning_pb2.EarningRule(
        rule_id=RULE_ID,
        display_name="A year with us",
        earn_class=earning_pb2.EARN_CLASS_EXCLUSIVE,
        trigger=earning_pb2.EARN_TRIGGER_TENURE,
        fixed=earning_pb2.EarnFixed(points=ANNIVERSARY_POINTS),
        conditions=earning_pb2.EarnConditions(every_years=1),
    )
    put = earning_pb.PutEarningRuleRequest(request_id="rule", rule=rule, acts_from=to_proto(BEGINNING))
    await touchstone.earning.PutEarningRule(put)


async def _draft_program(touchstone: Touchstone) -> None:
    to = touchstone.memberships
    program = (await to.GetProgram(membership_pb.GetProgramRequest(program_id=PROGRAM_ID))).program
    (silver,) = (tier for tier in program.tiers if tier.tier_id == "silver")
    silver.points_required = _SILVER_POINTS
    draft = membership_pb.DraftProgramRequest(request_id="program", program=program)
    version = (await to.DraftProgram(draft)).version.program.revision
    activate = membership_pb.ActivateProgramRequest(
        request_id="program-on", program_id=PROGRAM_ID, version=version, active_from=to_proto(SECOND_VERSION_FROM)
    )
    await to.ActivateProgram(activate)
