"""Orders with coupons and points through billing and member: set aside by a call, confirmed or freed by an event."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from chassis import clock
from chassis.rpc.errors import remote_refusal
from chassis.times import to_proto
from demo.platform import Touchstone, reached
from google.protobuf.timestamp_pb2 import Timestamp
from local import Platform
from touchstone.billing.v1 import account_service_pb2 as account_pb
from touchstone.billing.v1 import catalog_pb2, order_pb2
from touchstone.billing.v1 import catalog_service_pb2 as catalog_pb
from touchstone.billing.v1 import order_service_pb2 as pb
from touchstone.common.v1.common_pb2 import Money
from touchstone.member.v1 import coupon_pb2, member_pb2, points_pb2
from touchstone.member.v1 import coupon_service_pb2 as coupon_pb
from touchstone.member.v1 import customer_service_pb2 as customer_pb
from touchstone.member.v1 import membership_service_pb2 as membership_pb
from touchstone.member.v1 import points_service_pb2 as points_service_pb

pytestmark = pytest.mark.asyncio(loop_scope="module")
CUSTOMER, ACCOUNT = "c-buyer", "a-buyer"
SINCE = Timestamp(seconds=1_577_836_800)


def usd(minor_units: int) -> Money:
    """Dollars, in cents."""
    return Money(minor_units=minor_units, currency="USD")


def now() -> Timestamp:
    """The instant of a call."""
    return to_proto(clock.now())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def touchstone() -> AsyncIterator[Touchstone]:
    """The platform, with a box for 100.00 that is sold, and a member with 1,000 points and 200.00."""
    folder = Path(tempfile.mkdtemp(prefix="touchstone-orders-"))
    folder.chmod(0o711)  # root's PostgreSQL runs as another user, who must reach its data
    try:
        async with Platform(folder / "platform") as platform, reached(platform) as made:
            await open_shop(made)
            await join(made)
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def open_shop(to: Touchstone) -> None:
    """The box, coupons of 5.00, and points that are worth a cent each."""
    box = catalog_pb2.Product(product_id="box", display_name="Box", kind=catalog_pb2.PRODUCT_KIND_ONE_OFF)
    await to.catalog.PutProduct(catalog_pb.PutProductRequest(request_id="box", product=box))
    price = catalog_pb2.Price(product_id="box", currency="USD", effective_from=SINCE, amount=usd(100_00))
    await to.catalog.PutPrice(catalog_pb.PutPriceRequest(request_id="box", price=price))
    terms = coupon_pb2.CouponTerms(
        display_name="5.00 off",
        currency="USD",
        discount=coupon_pb2.CouponDiscount(amount_off_minor_units=5_00),
        validity=coupon_pb2.CouponValidity(days=30),
    )
    template = coupon_pb.PutCouponTemplateRequest(request_id="five", template_id="five-off", terms=terms)
    await to.coupons.PutCouponTemplate(template)
    await to.coupons.ActivateCouponTemplate(
        coupon_pb.ActivateCouponTemplateRequest(request_id="five", template_id="five-off")
    )
    rules = points_pb2.PointsRules(
        applies_from=SINCE,
        shortfall=points_pb2.POINTS_SHORTFALL_ONLY_WHAT_IS_LEFT,
        cash_off_points=1,
        cash_off=usd(1),
    )
    await to.points.PutPointsRules(points_service_pb.PutPointsRulesRequest(request_id="rules", rules=rules))


async def join(to: Touchstone) -> None:
    """The member, its points and its account."""
    customer = member_pb2.Customer(
        customer_id=CUSTOMER, kind=member_pb2.CUSTOMER_KIND_HOUSEHOLD, display_name="Buyer", registered_at=SINCE
    )
    await to.customers.UpsertCustomer(customer_pb.UpsertCustomerRequest(request_id="buyer", customer=customer))
    await to.memberships.Enrol(membership_pb.EnrolRequest(request_id="buyer", customer_id=CUSTOMER, occurred_at=SINCE))
    await to.points.EarnPoints(
        points_service_pb.EarnPointsRequest(
            request_id="buyer", customer_id=CUSTOMER, points=1000, reason="welcome", occurred_at=now()
        )
    )
    await to.accounts.OpenAccount(
        account_pb.OpenAccountRequest(
            request_id="buyer", account_id=ACCOUNT, customer_id=CUSTOMER, currency="USD", occurred_at=SINCE
        )
    )
    await to.accounts.Recharge(
        account_pb.RechargeRequest(
            request_id="buyer", account_id=ACCOUNT, amount=usd(200_00), channel="counter", occurred_at=now()
        )
    )
    await to.quiet()


async def given(to: Touchstone, number: int) -> str:
    """A coupon issued."""
    request = coupon_pb.IssueCouponRequest(
        request_id=f"gift-{number}",
        customer_id=CUSTOMER,
        template_id="five-off",
        reason="test",
        occurred_at=now(),
    )
    return str((await to.coupons.IssueCoupon(request)).coupon.coupon_id)


async def state_of(to: Touchstone, coupon_id: str) -> int:
    """Where a coupon stands."""
    request = coupon_pb.GetCouponRequest(customer_id=CUSTOMER, coupon_id=coupon_id)
    return int((await to.coupons.GetCoupon(request)).coupon.state)


async def points_of(to: Touchstone) -> tuple[int, int]:
    """Points, and of these those that are free."""
    request = points_service_pb.GetPointsBalanceRequest(customer_id=CUSTOMER)
    balance = (await to.points.GetPointsBalance(request)).balance
    return balance.balance, balance.available


def order(number: int, coupon_id: str, points: int, boxes: int = 1) -> pb.PlaceOrderRequest:
    """An order of boxes."""
    return pb.PlaceOrderRequest(
        request_id=f"order-{number}",
        order_id=f"o-{number}",
        account_id=ACCOUNT,
        items=[order_pb2.OrderItem(product_id="box", quantity=boxes)],
        coupon_ids=[coupon_id],
        points=points,
        occurred_at=now(),
    )


async def refused(call: Any, request: Any) -> str:
    """Why a call is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call(request)
    return remote_refusal(error.value).reason


async def test_a_placed_order_spends_what_was_set_aside(touchstone: Touchstone) -> None:
    coupon_id = await given(touchstone, 1)
    before, _ = await points_of(touchstone)
    request = order(1, coupon_id, 250)
    quote = pb.QuoteOrderRequest(
        account_id=ACCOUNT, items=request.items, coupon_ids=[coupon_id], points=250, as_of=request.occurred_at
    )
    quoted = await touchstone.orders.QuoteOrder(quote)
    placed = await touchstone.orders.PlaceOrder(request)
    assert placed.order.reckoning.total == quoted.reckoning.total == usd(100_00 - 5_00 - 2_50)
    assert [line.reference for line in placed.order.reckoning.lines][1] == coupon_id
    await touchstone.quiet()
    assert await state_of(touchstone, coupon_id) == coupon_pb2.COUPON_STATE_REDEEMED
    after, free = await points_of(touchstone)
    assert after == free
    # The order gave points as well, by the tier's rate.
    assert after < before


async def test_a_rejected_order_frees_what_was_set_aside(touchstone: Touchstone) -> None:
    coupon_id = await given(touchstone, 2)
    before = await points_of(touchstone)
    reason = await refused(touchstone.orders.PlaceOrder, order(2, coupon_id, 100, boxes=9))
    assert reason == "INSUFFICIENT_BALANCE"
    await touchstone.quiet()
    assert await state_of(touchstone, coupon_id) == coupon_pb2.COUPON_STATE_OPEN
    assert await points_of(touchstone) == before
    found = await touchstone.orders.GetOrder(pb.GetOrderRequest(order_id="o-2"))
    assert found.order.rejected_because == "INSUFFICIENT_BALANCE"


async def test_what_the_member_service_refuses_is_rejected(touchstone: Touchstone) -> None:
    before = await points_of(touchstone)
    assert await refused(touchstone.orders.PlaceOrder, order(3, "coupon-of-nobody", 0)) == "NOT_SET_ASIDE"
    coupon_id = await given(touchstone, 4)
    assert await refused(touchstone.orders.PlaceOrder, order(4, coupon_id, 10**6)) == "NOT_SET_ASIDE"
    await touchstone.quiet()
    assert await state_of(touchstone, coupon_id) == coupon_pb2.COUPON_STATE_OPEN
    assert await points_of(touchstone) == before
    again = order(5, coupon_id, 0)
    assert (await touchstone.orders.PlaceOrder(again)).order.state == order_pb2.ORDER_STATE_PLACED
