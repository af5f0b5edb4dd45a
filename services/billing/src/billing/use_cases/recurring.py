"""The recurring run: cycles that begin are charged, a round of them at a time, by the same few statements."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple

from chassis.calendar import Calendar
from chassis.errors import Refusal
from chassis.ids import new_id
from chassis.money import Money
from chassis.work import Transaction

from billing.domain.account import Account, AccountState
from billing.domain.ids import AccountId, ChargeId, ProductId
from billing.domain.movement import Billing, Debit, Moved, Movement, MovementKind
from billing.domain.order_facts import subscription_changed
from billing.domain.payer import Bearing
from billing.domain.product import Product
from billing.domain.proration import Cycle
from billing.domain.rating import rate_cycle
from billing.domain.reckoning import Reckoned
from billing.domain.recurring import RecurringChargeRefused, Run, month_to_close, next_cycle, past_due, resting
from billing.domain.subscription import Subscription, SubscriptionState
from billing.store import Connection
from billing.store import reckoning as reckonings
from billing.store.catalog import find_products
from billing.store.recurring import Due, due_subscriptions, note_refused
from billing.store.subscription import Step, find_subscriptions, set_subscriptions
from billing.store.usage import close_month
from billing.use_cases.movement import apply_movements, lock_accounts
from billing.use_cases.payer import choose_payers
from billing.use_cases.rating import discount_book, price_book

ROUND = 2_000


class RunRecurring(NamedTuple):
    """Wish to charge the cycles that begin by the day of an instant (business time)."""

    as_of: datetime


class _Sorted(NamedTuple):
    """Subscriptions that are due, by what becomes of them."""

    ending: list[Subscription]
    resting: list[Subscription]
    going_on: list[Subscription]


class _Cycle(NamedTuple):
    """A cycle to be charged."""

    subscription: Subscription
    cycle: Cycle
    reckoned: Reckoned
    movement: Movement

    def charged(self) -> Subscription:
        """With this cycle paid."""
        charge_id = ChargeId(self.movement.identity)
        return self.subscription.charged(self.cycle, charge_id, self.reckoned.reckoning.total_minor)

    def refusal(self, refusal: Refusal, occurred_at: datetime) -> RecurringChargeRefused:
        """The fact that the balance does not cover it."""
        subscription, currency = self.subscription, self.reckoned.reckoning.currency
        return RecurringChargeRefused(
            account_id=subscription.account_id,
            customer_id=subscription.customer_id,
            occurred_at=occurred_at,
            subscription_id=subscription.subscription_id,
            product_id=subscription.product_id,
            amount=Money(self.reckoned.reckoning.total_minor, currency),
            spendable=Money(int(refusal.metadata.get("available_minor", "0")), currency),
            cycle_start=self.cycle.start,
        )


async def run_recurring(transaction: Transaction, wanted: RunRecurring, calendar: Calendar) -> Run:
    """One round; one that finds nothing to do is the last. One cycle of a subscription in each."""
    connection, day = transaction.connection, calendar.day_of(wanted.as_of)
    if month := month_to_close(day):
        await close_month(connection, month, transaction.recorded_at)
    seen = await due_subscriptions(connection, day, ROUND)
    if not seen:
        return Run()
    accounts = await lock_accounts(transaction, {each.account_id for each in seen}, with_payers=True)
    found = await find_subscriptions(connection, [each.subscription_id for each in seen], lock=True)
    due = _sorted([found[each.subscription_id] for each in seen], accounts, day)
    products = await find_products(connection, {each.product_id for each in found.values()})
    ended = [each.ended(calendar.start_of(each.cycle_end)) for each in due.ending]
    rested = [resting(each) for each in due.resting]
    keeping = _Keeping(transaction, products, wanted.as_of)
    await keeping.keep(ended, "ended with its cycle")
    await keeping.keep(rested, "account suspended")
    cycles = await _cycles(connection, due.going_on, products, wanted.as_of, calendar)
    movements = await _borne(transaction, cycles, products, accounts, calendar)
    outcomes = await apply_movements(transaction, movements, calendar, accounts=accounts)
    charged = [each for each, outcome in zip(cycles, outcomes, strict=True) if isinstance(outcome, Moved)]
    await reckonings.add(connection, [each.reckoned for each in charged], transaction.recorded_at)
    await keeping.keep([each.charged() for each in charged], "cycle charged")
    refused = [(one, what) for one, what in zip(cycles, outcomes, strict=True) if isinstance(what, Refusal)]
    await _refuse(transaction, refused, keeping, day)
    return Run(len(charged), len(refused), len(ended), len(rested))


def _sorted(due: Sequence[Subscription], accounts: Mapping[AccountId, Account], day: date) -> _Sorted:
    """What is still due behind the locks."""
    found = _Sorted([], [], [])
    for each in due:
        if each.cycle_end > day or each.state is SubscriptionState.ENDED:
            continue
        if each.state is SubscriptionState.CANCELLING:
            found.ending.append(each)
        elif accounts[each.account_id].service.state is AccountState.SUSPENDED:
            if each.state is not SubscriptionState.RESTING:
                found.resting.append(each)
        else:
            found.going_on.append(each)
    return found


async def _cycles(
    connection: Connection,
    due: Sequence[Subscription],
    products: Mapping[ProductId, Product],
    as_of: datetime,
    calendar: Calendar,
) -> list[_Cycle]:
    """What each is to be charged: at the price that acts when its cycle begins, less what its customer's tier gets."""
    day = calendar.day_of(as_of)
    cycles = [next_cycle(each, products[each.product_id], day) for each in due]
    begins = {cycle.start: calendar.start_of(cycle.start) for cycle in cycles}
    at = [begins[cycle.start] for cycle in cycles]
    book = await price_book(connection, {(e.product_id, e.currency, t) for e, t in zip(due, at, strict=True)})
    discounts = await discount_book(connection, {each.customer_id for each in due})
    found = []
    for subscription, cycle, instant in zip(due, cycles, at, strict=True):
        product = products[subscription.product_id]
        price = book.price(product.product_id, subscription.currency, instant)
        discount = discounts.best(product, subscription.customer_id, instant)
        reckoning = rate_cycle(product, price, quantity=subscription.quantity, stretch=cycle.stretch, discount=discount)
        charge_id = new_id()
        movement = _movement(subscription, product, Reckoned(charge_id, instant, reckoning), as_of)
        found.append(_Cycle(subscription, cycle, Reckoned(charge_id, instant, reckoning), movement))
    return found


def _movement(subscription: Subscription, product: Product, reckoned: Reckoned, as_of: datetime) -> Movement:
    return Movement(
        identity=reckoned.reckoning_id,
        account_id=subscription.account_id,
        kind=MovementKind.CHARGE,
        act=Debit(Money(reckoned.reckoning.total_minor, subscription.currency)),
        note=product.display_name,
        occurred_at=as_of,
        billing=Billing.DUE,
        about={"product_id": product.product_id, "subscription_id": subscription.subscription_id},
        cycle_of=subscription.subscription_id,
    )


async def _borne(
    transaction: Transaction,
    cycles: Sequence[_Cycle],
    products: Mapping[ProductId, Product],
    accounts: Mapping[AccountId, Account],
    calendar: Calendar,
) -> list[Movement]:
    """The charges, with who pays them before the account itself."""
    bearings = [
        Bearing(
            each.subscription.account_id,
            each.reckoned.reckoning.total_minor,
            products[each.subscription.product_id].family,
            each.movement.occurred_at,
        )
        for each in cycles
    ]
    payers = await choose_payers(transaction, accounts, bearings, calendar)
    return [
        each.movement._replace(act=Debit(Money(bearing.amount_minor, each.subscription.currency), paying))
        for each, bearing, paying in zip(cycles, bearings, payers, strict=True)
    ]


async def _refuse(
    transaction: Transaction, refused: Sequence[tuple[_Cycle, Refusal]], keeping: "_Keeping", day: date
) -> None:
    """Past due, and told so once; to be tried again when something moves the account, or on the next day."""
    first = [(one, why) for one, why in refused if one.subscription.state is not SubscriptionState.PAST_DUE]
    await keeping.keep([past_due(one.subscription) for one, _ in first], "cycle not covered")
    for one, why in first:
        transaction.emit(one.refusal(why, keeping.as_of))
    waiting = [Due(one.subscription.subscription_id, one.subscription.account_id) for one, _ in refused]
    await note_refused(transaction.connection, waiting, day)


class _Keeping(NamedTuple):
    """Stores and tells how subscriptions stand now."""

    transaction: Transaction
    products: Mapping[ProductId, Product]
    as_of: datetime

    async def keep(self, standing: Sequence[Subscription], because: str) -> None:
        """By two statements, however many they are."""
        step = Step(because, self.as_of, self.transaction.recorded_at)
        await set_subscriptions(self.transaction.connection, standing, step)
        for each in standing:
            self.transaction.emit(subscription_changed(each, self.products[each.product_id], self.as_of))
