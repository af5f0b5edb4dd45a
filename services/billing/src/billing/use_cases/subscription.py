"""Subscriptions in mid-cycle: cancelled, with what is left turned into balance, or changed to the day."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from chassis.calendar import Calendar
from chassis.errors import InvalidArgument
from chassis.ids import new_id
from chassis.money import Money
from chassis.paging import Page
from chassis.work import Transaction

from billing.domain.account import Account
from billing.domain.bill import Bill
from billing.domain.charge_refund import ChargeTaken, Refunding, charge_refunded
from billing.domain.deduction import Rated
from billing.domain.ids import AccountId, ChargeId, CustomerId, ProductId, SubscriptionId
from billing.domain.movement import TAKEN_AGAIN_BY, Billing, Debit, Moved, Movement, MovementKind
from billing.domain.order_facts import subscription_changed
from billing.domain.payer import Bearing
from billing.domain.product import Product, ProductKind
from billing.domain.proration import Anchored, Owned, Split, dearer_by_day, given_back
from billing.domain.rating import check_amount, rate_cycle
from billing.domain.reckoning import Reckoned, together
from billing.domain.rounding import round_share
from billing.domain.standing import check_served
from billing.domain.subscription import (
    CancelSubscription,
    ChangeSubscription,
    Subscription,
    subscription_not_found,
)
from billing.store import Connection
from billing.store import reckoning as reckonings
from billing.store import subscription as store
from billing.store.balance import accounts_of, standings
from billing.store.charge_refund import add_refunds, charges_taken
from billing.store.subscription import Step, SubscriptionFilter
from billing.use_cases.movement import apply_whole, lock_accounts
from billing.use_cases.payer import choose_payers
from billing.use_cases.quote import Sale
from billing.use_cases.rating import discount_book, price_book


class Done(NamedTuple):
    """A subscription as it stands after a change or its end, and what moved; both amounts are 0 or more."""

    subscription: Subscription
    refunded: Money
    charged: Money
    reckoned: Reckoned | None
    balance_after: Money
    bill: Bill | None


class _Held(NamedTuple):
    """A subscription behind its account's lock, with the charge of its cycle and the tax that this contained."""

    accounts: Mapping[AccountId, Account]
    subscription: Subscription
    charge: ChargeTaken
    tax_minor: int

    @property
    def account(self) -> Account:
        """Its account; who pays for that is locked as well."""
        return self.accounts[self.subscription.account_id]

    def owned(self) -> Owned:
        """The cycle as it is charged now, less what was given back of it already."""
        tax_minor = round_share(self.tax_minor, self.charge.left_minor, self.charge.amount.minor_units or 1)
        return Owned(self.subscription.product_id, self.account.currency, self.charge.left_minor, tax_minor)


class _Exchange(NamedTuple):
    """What a change comes to: the old cycle cut, and the new one rated."""

    product: Product
    quantity: int
    cycle: Anchored
    rated: Rated
    split: Split
    at: datetime


async def cancel_subscription(transaction: Transaction, wanted: CancelSubscription, sale: Sale) -> Done:
    """Ends a subscription. At once: the day counts as used, what is left of the cycle goes back to where it came from.
    With its cycle: nothing moves. Refuses SubscriptionNotFound, SubscriptionEnded."""
    held = await _hold(transaction, wanted.subscription_id, wanted.customer_id)
    subscription = held.subscription
    day = sale.calendar.day_of(wanted.occurred_at)
    book = await price_book(transaction.connection, _key(held, wanted.occurred_at))
    product = book.product(subscription.product_id)
    if wanted.at_cycle_end and day < subscription.cycle_end:
        subscription.check_goes_on()
        step = Step(wanted.reason or "cancelled with its cycle", wanted.occurred_at, transaction.recorded_at)
        await apply_whole(transaction, [_called_off(held, step)], sale.calendar)
        return await _kept(transaction, held, subscription.cancelling(), product, step)
    subscription.check_open()
    split = subscription.used_through(day, held.charge.left_minor)
    if not product.refundable:
        split = subscription.used_up(held.charge.left_minor)
    step = Step(wanted.reason or "cancelled", wanted.occurred_at, transaction.recorded_at)
    done = await _kept(transaction, held, subscription.ended(wanted.occurred_at), product, step)
    refunding = _refunding(held, split, wanted.occurred_at, "cancelled")
    if refunding is None:
        await apply_whole(transaction, [_called_off(held, step)], sale.calendar)
        return done
    refund = refunding.movement()._replace(cycle_of=subscription.subscription_id)
    (moved,) = await apply_whole(transaction, [refund], sale.calendar)
    back = Reckoned(refunding.refund_id, wanted.occurred_at, given_back(held.owned(), split))
    await _give_back(transaction, refunding, moved)
    await reckonings.add(transaction.connection, [back], transaction.recorded_at)
    return done._replace(refunded=refunding.amount, reckoned=back, balance_after=moved.balance_after, bill=moved.bill)


async def change_subscription(transaction: Transaction, wanted: ChangeSubscription, sale: Sale) -> Done:
    """Another product or quantity from a day on: what is left of the old cycle is given back before the new one is
    charged, so that less is never refused for want of balance. Refuses SubscriptionNotFound, SubscriptionEnded,
    AccountSuspended for what costs more, InsufficientBalance, and what rating refuses."""
    held = await _hold(transaction, wanted.subscription_id, wanted.customer_id)
    held.subscription.check_goes_on()
    exchange = await _exchange(transaction.connection, held, wanted, sale)
    new_minor = exchange.rated.reckoning.total_minor
    net_minor = new_minor - exchange.split.refund_minor
    if net_minor > 0:
        check_served(held.account)
    charge_id = ChargeId(new_id())
    refunds = _refunds(held, exchange.split, new_minor, wanted.occurred_at)
    debit = await _debit(transaction, held, exchange, charge_id, sale.calendar)
    up = Billing.SUPPLEMENT if net_minor > 0 else Billing.PLAIN
    charging = debit._replace(billing=up, billed_minor=net_minor)
    movements = [_taken_again(refunding.movement(billing), charging) for refunding, billing in refunds]
    moved = await apply_whole(transaction, [*movements, charging], sale.calendar)
    changed = held.subscription.changed(exchange.product.product_id, exchange.quantity, exchange.cycle.anchor_day)
    changed = changed.charged(exchange.cycle.cycle, charge_id, new_minor)
    step = Step("changed", wanted.occurred_at, transaction.recorded_at)
    done = await _kept(transaction, held, changed, exchange.product, step)
    for (refunding, _), each in zip(refunds, moved, strict=False):
        await _give_back(transaction, refunding, each)
    return done._replace(
        refunded=held.account.money(exchange.split.refund_minor),
        charged=held.account.money(new_minor),
        reckoned=await _reckon_change(transaction, held, exchange, refunds, charge_id),
        balance_after=moved[-1].balance_after,
        bill=next((each.bill for each in moved if each.bill is not None), None),
    )


async def get_subscription(
    connection: Connection, subscription_id: SubscriptionId, customer_id: CustomerId | None
) -> Subscription:
    """Refuses SubscriptionNotFound, also for another customer's."""
    return _owned(await store.find_subscriptions(connection, [subscription_id]), subscription_id, customer_id)


async def subscriptions_page(connection: Connection, wanted: SubscriptionFilter, page: Page) -> list[Subscription]:
    """One more than the page holds, by id."""
    return await store.list_subscriptions(connection, wanted, after=page.after, limit=page.wanted)


def _owned(
    found: Mapping[SubscriptionId, Subscription], subscription_id: SubscriptionId, customer_id: CustomerId | None
) -> Subscription:
    if subscription_id not in found:
        raise subscription_not_found(subscription_id)
    found[subscription_id].check_owner(customer_id)
    return found[subscription_id]


async def _hold(transaction: Transaction, subscription_id: SubscriptionId, customer_id: CustomerId | None) -> _Held:
    """The subscription as it stands once its account is locked, with who pays and who paid for it: found without a
    lock, and read again behind it."""
    connection = transaction.connection
    seen = _owned(await store.find_subscriptions(connection, [subscription_id]), subscription_id, customer_id)
    paid = (await charges_taken(connection, [seen.cycle_charge_id]))[seen.cycle_charge_id]
    payers = await accounts_of(connection, [paid.transaction_id]) if paid.transaction_id else set()
    accounts = await lock_accounts(transaction, {seen.account_id, *payers}, with_payers=True)
    subscription = (await store.find_subscriptions(connection, [subscription_id], lock=True))[subscription_id]
    charge_id = subscription.cycle_charge_id
    charge = (await charges_taken(connection, [charge_id]))[charge_id]
    reckoned = (await reckonings.find(connection, [charge_id])).get(charge_id)
    tax_minor = reckoned.reckoning.tax_minor if reckoned else 0
    return _Held(accounts, subscription, charge, tax_minor)


async def _exchange(connection: Connection, held: _Held, wanted: ChangeSubscription, sale: Sale) -> _Exchange:
    """The old cycle cut at the day, and the new one rated from the day on. The day is the new one's where that costs
    as much a day at least; else it counts as used of the old one as well."""
    subscription, account, at = held.subscription, held.account, wanted.occurred_at
    product_id = wanted.product_id or subscription.product_id
    quantity = wanted.quantity or subscription.quantity
    if (product_id, quantity) == (subscription.product_id, subscription.quantity):
        raise InvalidArgument("product_id", "must be another one, or the quantity another")
    book = await price_book(
        connection, [(product_id, account.currency, at), (subscription.product_id, account.currency, at)]
    )
    old, product = book.product(subscription.product_id), book.product(product_id)
    product.check_kind(ProductKind.RECURRING)
    if product != old:
        product.check_sold()
    assert product.cadence is not None, "a recurring product has a cadence"
    day = max(sale.calendar.day_of(at), subscription.cycle_start)
    same = product.cadence == old.cadence
    anchored = subscription.cycle_from(product.cadence, day, same=same, month_anchor=sale.month_anchor)
    discounts = await discount_book(connection, {account.customer_id})
    discount = discounts.best(product, account.customer_id, at)
    price, stretch = book.price(product_id, account.currency, at), anchored.cycle.stretch
    reckoning = rate_cycle(product, price, quantity=quantity, stretch=stretch, discount=discount)
    check_amount(reckoning, "quantity")
    left = held.charge.left_minor
    whole_days = (subscription.cycle_end - subscription.cycle_start).days
    if not old.refundable:
        split = subscription.used_up(left)
    elif dearer_by_day(reckoning, stretch.days, left, whole_days):
        split = subscription.used_before(day, left)
    else:
        split = subscription.used_through(day, left)
    return _Exchange(product, quantity, anchored, Rated(product, price, reckoning), split, at)


def _taken_again(movement: Movement, by: Movement) -> Movement:
    """A change is one step: the account is not back at its threshold, nor served again, between its two halves."""
    return movement._replace(about={**movement.about, TAKEN_AGAIN_BY: by.transaction_id}) if by.booked else movement


def _called_off(held: _Held, step: Step) -> Movement:
    """A cycle that was due is not any more. It moves nothing by itself."""
    subscription_id = held.subscription.subscription_id
    return Movement(
        identity=subscription_id,
        account_id=held.account.account_id,
        kind=MovementKind.DUE_OVER,
        act=Debit(held.account.money(0)),
        note=step.because,
        occurred_at=step.occurred_at,
        cycle_of=subscription_id,
    )


def _key(held: _Held, at: datetime) -> list[tuple[ProductId, str, datetime]]:
    return [(held.subscription.product_id, held.account.currency, at)]


def _refunding(held: _Held, split: Split, at: datetime, reason: str) -> Refunding | None:
    """What is given back of the cycle; None for nothing."""
    if not split.refund_minor:
        return None
    return Refunding(new_id(), held.charge, held.account.money(split.refund_minor), reason, at)


def _refunds(held: _Held, split: Split, new_minor: int, at: datetime) -> list[tuple[Refunding, Billing]]:
    """What is given back before the new cycle is charged. A bill that is open is credited with what is given back on
    balance alone, so there the part that the new cycle takes again is a refund of its own."""
    whole = _refunding(held, split, at, "changed")
    if whole is None:
        return []
    net_minor = split.refund_minor - new_minor
    if net_minor <= 0:
        return [(whole, Billing.PLAIN)]
    if not (new_minor and held.account.below_threshold):
        return [(whole, Billing.CREDIT)]
    again = whole._replace(amount=held.account.money(new_minor))
    charge = held.charge._replace(refunded_minor=held.charge.refunded_minor + new_minor)
    net = Refunding(new_id(), charge, held.account.money(net_minor), whole.reason, at)
    return [(again, Billing.PLAIN), (net, Billing.CREDIT)]


async def _debit(
    transaction: Transaction, held: _Held, exchange: _Exchange, charge_id: ChargeId, calendar: Calendar
) -> Movement:
    subscription, product = held.subscription, exchange.product
    amount = held.account.money(exchange.rated.reckoning.total_minor)
    bearing = Bearing(subscription.account_id, amount.minor_units, product.family, exchange.at)
    (payers,) = await choose_payers(transaction, held.accounts, [bearing], calendar)
    return Movement(
        identity=charge_id,
        account_id=subscription.account_id,
        kind=MovementKind.CHARGE,
        act=Debit(amount, payers),
        note=product.display_name,
        occurred_at=exchange.at,
        about={
            "charge_id": charge_id,
            "order_id": subscription.order_id,
            "product_id": product.product_id,
            "subscription_id": subscription.subscription_id,
        },
        cycle_of=subscription.subscription_id,
    )


async def _kept(transaction: Transaction, held: _Held, standing: Subscription, product: Product, step: Step) -> Done:
    """The subscription stored and told as it stands now; nothing moved yet."""
    connection = transaction.connection
    await store.set_subscriptions(connection, [standing], step)
    transaction.emit(subscription_changed(standing, product, step.occurred_at))
    balance = (await standings(connection, [held.account]))[held.account.account_id].balance
    nothing = held.account.money(0)
    return Done(standing, nothing, nothing, None, balance, None)


async def _give_back(transaction: Transaction, refunding: Refunding, moved: Moved) -> None:
    await add_refunds(transaction.connection, [refunding], transaction.recorded_at)
    transaction.emit(charge_refunded(refunding, moved))


async def _reckon_change(
    transaction: Transaction,
    held: _Held,
    exchange: _Exchange,
    refunds: Sequence[tuple[Refunding, Billing]],
    charge_id: ChargeId,
) -> Reckoned:
    """Both parts kept, each under its own identity; shown as one."""
    parts = [Reckoned(charge_id, exchange.at, exchange.rated.reckoning)]
    if refunds:
        back = given_back(held.owned(), exchange.split)
        parts.insert(0, Reckoned(refunds[0][0].refund_id, exchange.at, back))
    await reckonings.add(transaction.connection, parts, transaction.recorded_at)
    return Reckoned(charge_id, exchange.at, together(held.account.currency, (part.reckoning for part in parts)))
