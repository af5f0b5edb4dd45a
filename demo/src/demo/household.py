"""One household after the replay: BOSS sells it television in the middle of a month, and takes it back ten days later.

Both acts come with their reckoning, which explains every cent, and each sums exactly. At the end stands the payment
notice, worked out from the business as it stands.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from chassis.times import to_proto
from rich.columns import Columns
from rich.console import Console
from rich.table import Table
from touchstone.billing.v1 import account_service_pb2 as account_pb
from touchstone.billing.v1 import catalog_pb2, notice_pb2, order_pb2
from touchstone.billing.v1 import catalog_service_pb2 as catalog_service
from touchstone.billing.v1 import notice_service_pb2 as notices
from touchstone.billing.v1 import order_service_pb2 as orders
from touchstone.common.v1 import operations_service_pb2 as operations
from touchstone.common.v1.common_pb2 import Money
from touchstone.member.v1 import customer_service_pb2 as customer_pb
from touchstone.member.v1 import member_pb2

from demo.checks import Verdict
from demo.platform import Touchstone
from demo.scenario import CURRENCY, PLAN_ID

CUSTOMER, ACCOUNT = "c-household", "a-household"
_ORDERED = datetime(1998, 8, 10, 12, tzinfo=UTC)
_CANCELLED = _ORDERED + timedelta(days=10)
_SINCE = to_proto(_ORDERED - timedelta(days=30))
# 22 of the month's 31 days are left, 11 of them are used.
_MONTH_MINOR, _CHARGED_MINOR, _USED_MINOR = 62_00, 44_00, 22_00


_MOVEMENTS = {
    notice_pb2.NOTICE_LINE_KIND_CHARGED,
    notice_pb2.NOTICE_LINE_KIND_REFUND,
    notice_pb2.NOTICE_LINE_KIND_RECHARGE,
}


@dataclass(frozen=True, slots=True)
class Household:
    """What BOSS was answered, and the proof of the books afterwards."""

    ordered: Any
    cancelled: Any
    notice: Any
    proof: Any


async def play(touchstone: Touchstone) -> Household:
    """Sells and takes back, and waits until everybody has heard of it."""
    await _prepare(touchstone)
    await _sell(touchstone)
    item = order_pb2.OrderItem(product_id="tv", subscription_id="tv-household", subscriber_id="living-room")
    ordered = await touchstone.orders.PlaceOrder(
        orders.PlaceOrderRequest(
            request_id="order-household",
            order_id="o-household",
            account_id=ACCOUNT,
            items=[item],
            occurred_at=to_proto(_ORDERED),
        )
    )
    cancelled = await touchstone.orders.CancelSubscription(
        orders.CancelSubscriptionRequest(
            request_id="cancel-household",
            subscription_id=item.subscription_id,
            reason="moved away",
            occurred_at=to_proto(_CANCELLED),
        )
    )
    await touchstone.quiet()
    asked = notices.GetPaymentNoticeRequest(account_id=ACCOUNT, language="en")
    notice = (await touchstone.notices.GetPaymentNotice(asked)).notice
    proof = await touchstone.operations["billing"].Prove(operations.ProveRequest(), timeout=120)
    return Household(ordered, cancelled, notice, proof)


def show_household(console: Console, household: Household) -> None:
    """Prints both reckonings and the payment notice."""
    ordered, cancelled = household.ordered, household.cancelled
    tables = [
        _reckoning("Ordered on 10 August", ordered.order.reckoning, ordered.balance_after),
        _reckoning("Cancelled on 20 August", cancelled.reckoning, cancelled.balance_after),
    ]
    console.print(Columns([*tables, _notice(household.notice)], padding=(0, 2)))


def judge_household(household: Household) -> list[Verdict]:
    """What must hold of it."""
    charged, back = household.ordered.order.reckoning, household.cancelled.reckoning
    exact = all(_sum(each) == each.total.minor_units for each in (charged, back))
    paid = charged.total.minor_units + back.total.minor_units
    moved = household.cancelled.balance_after.minor_units - household.ordered.balance_after.minor_units
    said = f"{_shown(charged.total)} charged, {_shown(household.cancelled.refunded)} given back"
    return [
        Verdict("an order in mid-cycle is charged to the day", said, charged.total.minor_units == _CHARGED_MINOR),
        Verdict("the days used stay charged", f"{paid / 100:,.2f}", paid == _USED_MINOR == moved),
        Verdict(
            "a notice's lines come to what is asked for and the balance",
            f"{_shown(household.notice.to_pay)} to pay",
            _explained(household.notice),
        ),
        Verdict("lines of a reckoning sum to its total", f"{len(charged.lines)} and {len(back.lines)} lines", exact),
        Verdict(
            "the books prove after it as well", f"{len(household.proof.checks)} claims", bool(household.proof.holds)
        ),
    ]


async def _prepare(touchstone: Touchstone) -> None:
    """The household with 100.00 in its account."""
    customer = member_pb2.Customer(
        customer_id=CUSTOMER,
        kind=member_pb2.CUSTOMER_KIND_HOUSEHOLD,
        display_name="Household",
        registered_at=_SINCE,
    )
    await touchstone.customers.UpsertCustomer(
        customer_pb.UpsertCustomerRequest(request_id="customer-household", customer=customer)
    )
    await touchstone.accounts.OpenAccount(
        account_pb.OpenAccountRequest(
            request_id="account-household",
            account_id=ACCOUNT,
            customer_id=CUSTOMER,
            currency=CURRENCY,
            plan_id=PLAN_ID,
            occurred_at=_SINCE,
        )
    )
    await touchstone.accounts.Recharge(
        account_pb.RechargeRequest(
            request_id="recharge-household",
            account_id=ACCOUNT,
            amount=_money(100_00),
            channel="counter",
            occurred_at=_SINCE,
        )
    )


async def _sell(touchstone: Touchstone) -> None:
    """Television by the month."""
    product = catalog_pb2.Product(
        product_id="tv",
        display_name="Television",
        family="tv",
        kind=catalog_pb2.PRODUCT_KIND_RECURRING,
        cycle_unit=catalog_pb2.CYCLE_UNIT_MONTH,
        refundable=True,
    )
    await touchstone.catalog.PutProduct(catalog_service.PutProductRequest(request_id="product-tv", product=product))
    price = catalog_pb2.Price(
        product_id="tv", currency=CURRENCY, effective_from=_SINCE, amount=_money(_MONTH_MINOR), tax_basis_points=800
    )
    await touchstone.catalog.PutPrice(catalog_service.PutPriceRequest(request_id="price-tv", price=price))


def _reckoning(title: str, reckoning: Any, balance_after: Any) -> Table:
    table = Table("", "", title=title, title_justify="left", show_header=False)
    table.columns[1].justify = "right"
    for line in reckoning.lines:
        table.add_row(line.description, _shown(line.amount))
    table.add_section()
    table.add_row("comes to", _shown(reckoning.total))
    table.add_row("tax in it", _shown(reckoning.tax_included))
    table.add_row("balance after it", _shown(balance_after))
    return table


def _explained(notice: Any) -> bool:
    """Movements since the account was opened are all there is to its balance; nothing is to be paid without a bill."""
    moved = sum(line.amount.minor_units for line in notice.lines if line.kind in _MOVEMENTS)
    asked = sum(bill.remaining.minor_units for bill in notice.bills)
    return bool(moved == -notice.balance.balance.minor_units and notice.to_pay.minor_units == asked)


def _notice(notice: Any) -> Table:
    table = Table("", "", title="Payment notice", title_justify="left", show_header=False)
    table.columns[1].justify = "right"
    for line in notice.lines:
        table.add_row(line.description, _shown(line.amount))
    table.add_section()
    table.add_row("balance", _shown(notice.balance.balance))
    table.add_row("to pay", _shown(notice.to_pay))
    return table


def _sum(reckoning: Any) -> int:
    return sum(line.amount.minor_units for line in reckoning.lines)


def _shown(money: Any) -> str:
    return f"{money.minor_units / 100:,.2f}"


def _money(minor_units: int) -> Money:
    return Money(minor_units=minor_units, currency=CURRENCY)
