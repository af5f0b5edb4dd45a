"""Orders: rated, charged as a whole or not at all, and made into subscriptions."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from chassis.ids import new_id
from chassis.money import Money
from chassis.work import Transaction

from billing.domain.account import Account, account_not_found
from billing.domain.bill import Bill
from billing.domain.ids import AccountId, ChargeId, CustomerId, OrderId, SubscriptionId
from billing.domain.movement import Billing, Debit, Movement, MovementKind
from billing.domain.order import LEFT, Basket, Order, OrderState, PlaceOrder, order_exists, order_not_found
from billing.domain.order_facts import order_placed, order_rejected, subscription_changed
from billing.domain.payer import Bearing
from billing.domain.reckoning import Reckoned, together
from billing.domain.reserving import SET_ASIDE_FOR, Reservation, Reserved
from billing.domain.standing import check_served
from billing.domain.subscription import (
    Subscription,
    SubscriptionState,
    subscription_exists,
)
from billing.store import Connection
from billing.store import order as store
from billing.store import reckoning as reckonings
from billing.store.order import OrderFilter
from billing.store.subscription import Step, add_subscriptions, find_subscriptions
from billing.use_cases.movement import apply_whole, lock_accounts
from billing.use_cases.payer import choose_payers
from billing.use_cases.quote import Bought, Sale, less_reserved, rate_basket, reservation_of, whole_of

LEFT_AFTER = timedelta(minutes=1)
LEFT_ROUND = 500


class Shown(NamedTuple):
    """An order with how its charges came about; None before it is charged."""

    order: Order
    reckoned: Reckoned | None


class Ordered(NamedTuple):
    """An order as it was charged, and what that did."""

    shown: Shown
    subscriptions: tuple[Subscription, ...]
    balance_after: Money
    bill: Bill | None


class GivenUp(NamedTuple):
    """An order that is not to be charged, and the hold of points that is known of."""

    order_id: OrderId
    because: str
    points_hold_id: str


class Ordering(NamedTuple):
    """An order about to be charged; its account is locked with who pays for it."""

    accounts: Mapping[AccountId, Account]
    order: Order
    bought: Sequence[Bought]


async def place_order(transaction: Transaction, wanted: PlaceOrder, sale: Sale) -> Ordered:
    """Charges an order without coupons and points. Refuses AccountNotFound, AccountSuspended, OrderExists,
    SubscriptionExists, TotalDiffers, InsufficientBalance, and what rating refuses; then nothing of it is kept."""
    connection, basket = transaction.connection, wanted.basket
    accounts = await _lock(transaction, basket)
    account = accounts[basket.account_id]
    check_served(account)
    if await store.find_order(connection, wanted.order_id) is not None:
        raise order_exists(wanted.order_id)
    await _check_free(connection, basket)
    bought = await rate_basket(connection, account, basket, sale)
    wanted.check_total(account.money(whole_of(account, bought).total_minor))
    order = order_of(wanted, account, OrderState.PLACED, transaction.recorded_at)
    return await charge_order(transaction, Ordering(accounts, order, bought), sale)


async def _lock(transaction: Transaction, basket: Basket) -> dict[AccountId, Account]:
    """The account, which is the customer's, and who pays for it, locked."""
    accounts = await lock_accounts(transaction, {basket.account_id}, with_payers=True)
    if basket.account_id not in accounts:
        raise account_not_found(basket.account_id)
    accounts[basket.account_id].check_owner(basket.customer_id)
    return accounts


async def _check_free(connection: Connection, basket: Basket) -> None:
    """Refuses subscriptions whose identifiers are in use."""
    becomes = {item.subscription_id for item in basket.items if item.subscription_id is not None}
    for used in sorted(await find_subscriptions(connection, becomes)):
        raise subscription_exists(used)


def order_of(wanted: PlaceOrder, account: Account, state: OrderState, recorded_at: datetime) -> Order:
    """The order as it is wished, its account's customer its own."""
    basket = wanted.basket
    return Order(
        order_id=wanted.order_id,
        account_id=account.account_id,
        customer_id=account.customer_id,
        items=basket.items,
        coupon_ids=basket.coupon_ids,
        points=basket.points,
        state=state,
        placed_at=basket.at,
        recorded_at=recorded_at,
    )


async def begin_order(transaction: Transaction, wanted: PlaceOrder, sale: Sale) -> Reservation | None:
    """Stores an order whose coupons and points are to be set aside, and says what of. One that is the same and reserves
    already goes on; None for one that does not reserve any more, which is to be answered as before. Refuses what
    `place_order` does, but for the total, which is not known yet, and the balance."""
    connection, basket = transaction.connection, wanted.basket
    account = (await _lock(transaction, basket))[basket.account_id]
    known = await store.find_order(connection, wanted.order_id)
    if known is not None:
        known.check_same(wanted)
        if known.state is not OrderState.RESERVING:
            return None
    check_served(account)
    if known is None:
        await _check_free(connection, basket)
    bought = await rate_basket(connection, account, basket, sale)
    order = known or order_of(wanted, account, OrderState.RESERVING, transaction.recorded_at)
    if known is None and not await store.add_order(connection, order):
        raise order_exists(order.order_id)
    until = max(order.placed_at, order.recorded_at) + SET_ASIDE_FOR
    return reservation_of(order.order_id, account, basket=basket, bought=bought, until=until)


async def finish_order(transaction: Transaction, wanted: PlaceOrder, reserved: Reserved, sale: Sale) -> Ordered:
    """Charges an order less what is set aside for it. Refuses OrderExists and OrderWasRejected where somebody else was
    faster, or it was left for long, PointsExceedOrder, and what `place_order` does; the order reserves still then."""
    basket, connection = wanted.basket, transaction.connection
    accounts = await lock_accounts(transaction, {basket.account_id}, with_payers=True)
    order = await store.find_order(connection, wanted.order_id, lock=True)
    if order is None:
        raise order_not_found(wanted.order_id)
    order.check_reserving()
    order.check_kept(transaction.recorded_at)
    account = accounts[order.account_id]
    check_served(account)
    bought = less_reserved(await rate_basket(connection, account, basket, sale), reserved)
    wanted.check_total(account.money(whole_of(account, bought).total_minor))
    held = replace(order, points_hold_id=reserved.points_hold_id)
    return await charge_order(transaction, Ordering(accounts, held, bought), sale)


async def reject_order(transaction: Transaction, given_up: GivenUp) -> bool:
    """Gives an order up that reserves; what is set aside for it is freed. False where it does not reserve any more."""
    connection = transaction.connection
    seen = await store.find_order(connection, given_up.order_id)
    if seen is None:
        return False
    await lock_accounts(transaction, {seen.account_id})
    order = await store.find_order(connection, given_up.order_id, lock=True)
    if order is None or order.state is not OrderState.RESERVING:
        return False
    rejected = replace(
        order,
        state=OrderState.REJECTED,
        rejected_because=given_up.because,
        points_hold_id=given_up.points_hold_id,
    )
    await store.settle_order(connection, rejected)
    transaction.emit(order_rejected(rejected))
    return True


async def advance_orders(transaction: Transaction, as_of: datetime) -> int:
    """Gives up orders that were left while reserving a minute ago or longer, a round of them; how many."""
    connection, recorded_at = transaction.connection, transaction.recorded_at
    left = await store.orders_left(
        connection, placed=as_of - LEFT_AFTER, recorded=recorded_at - LEFT_AFTER, limit=LEFT_ROUND
    )
    await lock_accounts(transaction, {order.account_id for order in left})
    return sum([await reject_order(transaction, GivenUp(order.order_id, LEFT, "")) for order in left])


async def charge_order(transaction: Transaction, ordering: Ordering, sale: Sale) -> Ordered:
    """Takes the charges of an order, one for each item, and makes its subscriptions. An order that was not stored
    before is stored now."""
    bought = ordering.bought
    charge_ids = tuple(ChargeId(new_id()) for _ in bought)
    order = replace(ordering.order, state=OrderState.PLACED, charge_ids=charge_ids)
    account = ordering.accounts[order.account_id]
    bearings = [
        Bearing(order.account_id, each.reckoning.total_minor, each.product.family, order.placed_at) for each in bought
    ]
    payers = await choose_payers(transaction, ordering.accounts, bearings, sale.calendar)
    movements = [_movement(order, *charge) for charge in zip(bought, charge_ids, payers, strict=True)]
    moved = await apply_whole(transaction, movements, sale.calendar)
    connection = transaction.connection
    if ordering.order.state is OrderState.RESERVING:
        await store.settle_order(connection, order)
    elif not await store.add_order(connection, order):
        raise order_exists(order.order_id)
    kept = [
        Reckoned(charge_id, order.placed_at, each.reckoning) for each, charge_id in zip(bought, charge_ids, strict=True)
    ]
    await reckonings.add(connection, kept, transaction.recorded_at)
    subscriptions = await _subscribe(transaction, order, bought)
    whole = whole_of(account, bought)
    transaction.emit(order_placed(order, account.money(whole.total_minor)))
    bill = next((each.bill for each in moved if each.bill is not None), None)
    shown = Shown(order, Reckoned(order.order_id, order.placed_at, whole))
    return Ordered(shown, subscriptions, moved[-1].balance_after, bill)


async def get_order(connection: Connection, order_id: OrderId, customer_id: CustomerId | None) -> Shown:
    """Refuses OrderNotFound, also for another customer's order."""
    order = await store.find_order(connection, order_id)
    if order is None:
        raise order_not_found(order_id)
    order.check_owner(customer_id)
    return (await _shown(connection, [order]))[0]


async def orders_page(connection: Connection, wanted: OrderFilter, *, before: int | None, limit: int) -> list[Shown]:
    """Orders that came before the one with this number, newest first."""
    return await _shown(connection, await store.list_orders(connection, wanted, before=before, limit=limit))


async def _shown(connection: Connection, orders: Sequence[Order]) -> list[Shown]:
    found = await reckonings.find(connection, [charge_id for order in orders for charge_id in order.charge_ids])
    return [Shown(order, _whole(order, found)) for order in orders]


def _whole(order: Order, found: Mapping[str, Reckoned]) -> Reckoned | None:
    parts = [found[charge_id].reckoning for charge_id in order.charge_ids]
    if not parts:
        return None
    return Reckoned(order.order_id, order.placed_at, together(parts[0].currency, parts))


def _movement(order: Order, bought: Bought, charge_id: ChargeId, payers: tuple[AccountId, ...]) -> Movement:
    about = {
        "charge_id": charge_id,
        "order_id": order.order_id,
        "product_id": bought.product.product_id,
        "subscription_id": bought.item.subscription_id or "",
    }
    return Movement(
        identity=charge_id,
        account_id=order.account_id,
        kind=MovementKind.CHARGE,
        act=Debit(Money(bought.reckoning.total_minor, bought.reckoning.currency), payers),
        note=bought.product.display_name,
        occurred_at=order.placed_at,
        billing=Billing.SUPPLEMENT,
        about={name: value for name, value in about.items() if value},
    )


async def _subscribe(transaction: Transaction, order: Order, bought: Sequence[Bought]) -> tuple[Subscription, ...]:
    """The subscriptions that the recurring items become."""
    made = [
        (_subscription(order, each, each.item.subscription_id, charge_id), each.product)
        for each, charge_id in zip(bought, order.charge_ids, strict=True)
        if each.item.subscription_id is not None
    ]
    step = Step("ordered", order.placed_at, transaction.recorded_at)
    subscriptions = tuple(subscription for subscription, _ in made)
    used = await add_subscriptions(transaction.connection, subscriptions, step)
    if used is not None:
        raise subscription_exists(used)
    for subscription, product in made:
        transaction.emit(subscription_changed(subscription, product, order.placed_at))
    return subscriptions


def _subscription(order: Order, bought: Bought, subscription_id: SubscriptionId, charge_id: ChargeId) -> Subscription:
    assert bought.cycle is not None, "a recurring item has a first cycle"
    anchor_day, cycle = bought.cycle
    return Subscription(
        subscription_id=subscription_id,
        account_id=order.account_id,
        customer_id=order.customer_id,
        product_id=bought.product.product_id,
        quantity=bought.item.quantity,
        subscriber_id=bought.item.subscriber_id,
        currency=bought.reckoning.currency,
        state=SubscriptionState.ACTIVE,
        anchor_day=anchor_day,
        cycle_start=cycle.start,
        cycle_end=cycle.end,
        cycle_charge_id=charge_id,
        cycle_charged_minor=bought.reckoning.total_minor,
        started_at=order.placed_at,
        order_id=order.order_id,
    )
