"""What a batch of usage records comes to, worked out in its order before anything is booked; nothing is read here."""

from collections import Counter as Tally
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import NamedTuple

from chassis.calendar import Calendar
from chassis.errors import Refusal
from chassis.ids import new_id

from billing.domain.account import Account, account_not_found
from billing.domain.charge_refund import ChargeTaken, Refunding
from billing.domain.ids import AccountId, ChargeId
from billing.domain.movement import Debit, Movement, MovementKind, insufficient_balance
from billing.domain.payer import Bearing
from billing.domain.price import Price, TierMode, tier_of
from billing.domain.product import Product, ProductKind
from billing.domain.rating import reckon_usage
from billing.domain.reckoning import Reckoned
from billing.domain.usage import (
    Counter,
    CounterKey,
    CounterMove,
    Counters,
    LineMonth,
    Priced,
    UsageId,
    UsageRecord,
    UsageStanding,
    usage_not_found,
)
from billing.store.price import Version, Wanted
from billing.store.usage import Recorded
from billing.use_cases.rating import PriceBook


@dataclass(frozen=True, slots=True)
class Scene:
    """What is known behind the locks: `spendable_minor` has no say over accounts that others pay for, which are not in
    it. `known` has what corrected records replaced in their turn, `versions` has their prices; `charged` are charges of
    months that may come to less, newest first, and `charges` has these and those of the records that are corrected.
    """

    accounts: Mapping[AccountId, Account]
    known: Mapping[UsageId, UsageStanding]
    book: PriceBook
    versions: Mapping[Version, Price]
    counters: Mapping[CounterKey, Counter]
    spendable_minor: Mapping[AccountId, int]
    charges: Mapping[ChargeId, ChargeTaken]
    charged: Mapping[LineMonth, Sequence[ChargeId]]
    closed: Collection[date]


class Decided(NamedTuple):
    """A record that is new: how it stands, what books its cost or gives it back, and how its charge came about."""

    standing: UsageStanding
    month: date
    movements: tuple[Movement, ...] = ()
    refunds: tuple[Refunding, ...] = ()
    reckoned: Reckoned | None = None
    bearing: Bearing | None = None

    def paid_by(self, payers: tuple[AccountId, ...]) -> "Decided":
        """With who pays its charge before its own account."""
        (movement,) = self.movements
        assert isinstance(movement.act, Debit), "only a charge is paid by others"
        return self._replace(movements=(movement._replace(act=movement.act._replace(payers=payers)),))

    @property
    def recorded(self) -> Recorded:
        """The record as it is kept."""
        return Recorded(self.standing, self.month, self.refunds[0].refund_id if self.refunds else None)

    def rejected(self, refusal: Refusal) -> "Decided":
        """What comes of it when the ledger refuses its charge."""
        return Decided(_rejected(self.standing.usage, refusal, late=self.standing.late), self.month)


class _Rated(NamedTuple):
    product: Product
    price: Price
    moves: list[CounterMove]

    @property
    def cost_minor(self) -> int:
        return sum(move.cost_minor for move in self.moves)


class UsageBatch:
    """Decides record after record, each with those before it behind it."""

    def __init__(self, scene: Scene, calendar: Calendar) -> None:
        self._scene, self._calendar = scene, calendar
        self._known = dict(scene.known)
        self._left_minor = dict(scene.spendable_minor)
        self._charges = dict(scene.charges)
        self._taken = {month: list(charges) for month, charges in scene.charged.items()}
        acting = {
            Version(price.product_id, price.currency, price.version): price for price in scene.book.prices.values()
        }
        self._versions = acting | dict(scene.versions)
        self.counters = Counters(scene.counters)

    def decide(self, usage: UsageRecord) -> Decided | UsageStanding | Refusal:
        """What a record comes to; how it stands where it came before. Refuses UsageIdReused, UsageNotFound,
        UsageReplaced, UsageWasRejected, and a correction of another account's, product's or line's record."""
        before = self._known.get(usage.usage_id)
        try:
            if before is not None:
                before.check_same(usage)
                return before
            original = self._original(usage)
        except Refusal as refusal:
            return refusal
        decided = self._new(usage, original)
        self._known[usage.usage_id] = decided.standing
        if original is not None and decided.standing.counted is not None:
            self._known[original.usage.usage_id] = replace(original, replaced_by=usage.usage_id)
        return decided

    def _original(self, usage: UsageRecord) -> UsageStanding | None:
        """The record that this one corrects."""
        if usage.corrects is None:
            return None
        original = self._known.get(usage.corrects)
        if original is None:
            raise usage_not_found(usage.corrects)
        original.check_corrected_by(usage)
        return original

    def _new(self, usage: UsageRecord, original: UsageStanding | None) -> Decided:
        month = month_of(usage, self._calendar)
        late = month in self._scene.closed
        try:
            account = self._account(usage.account_id)
            rated = self._rate(usage, original, account, month)
            self._spend(account, rated.cost_minor)
        except Refusal as refusal:
            return Decided(_rejected(usage, refusal, late=late), month)
        self.counters.take(rated.moves)
        amount = account.money(rated.cost_minor)
        key = CounterKey(usage.account_id, usage.subscriber_id, usage.product_id, month, rated.price.version)
        standing = UsageStanding(usage=usage, counted=key, amount=amount, late=late)
        if rated.cost_minor > 0:
            return self._charged(standing, rated, account, month)
        if rated.cost_minor < 0:
            return self._given_back(standing, original, account)
        return Decided(standing, month)

    def _account(self, account_id: AccountId) -> Account:
        if account_id not in self._scene.accounts:
            raise account_not_found(account_id)
        return self._scene.accounts[account_id]

    def _rate(self, usage: UsageRecord, original: UsageStanding | None, account: Account, month: date) -> _Rated:
        book = self._scene.book
        product = book.product(usage.product_id)
        product.check_kind(ProductKind.USAGE)
        price = book.price(usage.product_id, account.currency, usage.occurred_at)
        key = CounterKey(usage.account_id, usage.subscriber_id, usage.product_id, month, price.version)
        parts = [Priced(key, price, usage.quantity)]
        if original is not None and original.counted is not None:
            version = Version(usage.product_id, account.currency, original.counted.price_version)
            parts.append(Priced(original.counted, self._versions[version], -original.usage.quantity))
        return _Rated(product, price, self.counters.moves(parts))

    def _spend(self, account: Account, cost_minor: int) -> None:
        """Refuses InsufficientBalance."""
        left_minor = self._left_minor.get(account.account_id)
        if left_minor is None:
            return
        if cost_minor > left_minor:
            raise insufficient_balance(account, left_minor)
        self._left_minor[account.account_id] = left_minor - cost_minor

    def _charged(self, standing: UsageStanding, rated: _Rated, account: Account, month: date) -> Decided:
        usage, amount = standing.usage, account.money(rated.cost_minor)
        charge_id = ChargeId(new_id())
        about = {"usage_id": usage.usage_id, "product_id": usage.product_id}
        movement = Movement(
            identity=charge_id,
            account_id=usage.account_id,
            kind=MovementKind.CHARGE,
            act=Debit(amount),
            note=rated.product.display_name,
            occurred_at=usage.occurred_at,
            about=about | {"late": "true"} if standing.late else about,
        )
        self._charges[charge_id] = ChargeTaken(
            charge_id,
            account.account_id,
            account.customer_id,
            amount,
            refunded_minor=0,
            transaction_id=movement.transaction_id,
            order_id="",
            occurred_at=usage.occurred_at,
        )
        if standing.counted is not None:
            self._taken.setdefault(standing.counted.line_month, []).insert(0, charge_id)
        reckoned = _reckoned(charge_id, usage, rated)
        bearing = Bearing(usage.account_id, rated.cost_minor, rated.product.family, usage.occurred_at)
        standing = replace(standing, charge_id=charge_id)
        return Decided(standing, month, (movement,), reckoned=reckoned, bearing=bearing)

    def _given_back(self, standing: UsageStanding, original: UsageStanding | None, account: Account) -> Decided:
        """What goes back to what had paid: first of the charges of the record that is corrected and of those that it
        had replaced, then of others of its month, newest first. What is not left of these was given back already."""
        assert standing.counted is not None, "only what counts gives back"
        assert standing.amount is not None, "only what is rated gives back"
        usage, back_minor = standing.usage, -standing.amount.minor_units
        refunds = []
        for charge_id in self._behind(standing, original):
            charge = self._charges[charge_id]
            if part_minor := min(back_minor, charge.left_minor):
                part, reason = account.money(part_minor), f"usage {usage.usage_id}"
                refunds.append(Refunding(new_id(), charge, part, reason, usage.occurred_at))
                self._charges[charge_id] = charge._replace(refunded_minor=charge.refunded_minor + part_minor)
                back_minor -= part_minor
        movements = tuple(refund.movement() for refund in refunds)
        return Decided(standing, standing.counted.month, movements, tuple(refunds))

    def _behind(self, standing: UsageStanding, original: UsageStanding | None) -> Iterable[ChargeId]:
        """The charges that may be given back of, in their order."""
        replaced = list(self._replaced(original))
        found = [each.charge_id for each in replaced if each.charge_id]
        for month in dict.fromkeys(each.counted.line_month for each in (standing, *replaced) if each.counted):
            found += self._taken.get(month, ())
        return dict.fromkeys(found)

    def _replaced(self, original: UsageStanding | None) -> Iterator[UsageStanding]:
        """The record that is corrected, what that had replaced, and so on."""
        while original is not None:
            yield original
            before = original.usage.corrects
            original = None if before is None else self._known.get(before)


def priced_under(usage: UsageRecord, account: Account, book: PriceBook, calendar: Calendar) -> Priced | None:
    """Where the units of a record would count; None where its product has no price then."""
    price = book.prices.get(Wanted(usage.product_id, account.currency, usage.occurred_at))
    if price is None:
        return None
    month = month_of(usage, calendar)
    key = CounterKey(usage.account_id, usage.subscriber_id, usage.product_id, month, price.version)
    return Priced(key, price, usage.quantity)


def months_turned(coming: Iterable[Priced], counters: Mapping[CounterKey, Counter]) -> set[LineMonth]:
    """The months that may come to less by more units: where all are charged at the price of the tier that they reach,
    and they reach another."""
    units: Tally[CounterKey] = Tally()
    prices: dict[CounterKey, Price] = {}
    for each in coming:
        if each.price.tier_mode is TierMode.VOLUME and each.key in counters:
            units[each.key] += each.quantity
            prices[each.key] = each.price
    return {
        key.line_month
        for key, price in prices.items()
        if tier_of(price.tiers, counters[key].quantity) != tier_of(price.tiers, counters[key].quantity + units[key])
    }


def versions_of(standings: Iterable[UsageStanding]) -> set[Version]:
    """The versions of prices that records were charged by."""
    return {
        Version(each.usage.product_id, each.amount.currency, each.counted.price_version)
        for each in standings
        if each.counted is not None and each.amount is not None
    }


def month_of(usage: UsageRecord, calendar: Calendar) -> date:
    """The first day of the month in which it was used."""
    return calendar.day_of(usage.occurred_at).replace(day=1)


def _rejected(usage: UsageRecord, refusal: Refusal, *, late: bool) -> UsageStanding:
    return UsageStanding(usage=usage, counted=None, amount=None, reason=refusal.reason, late=late)


def _reckoned(charge_id: ChargeId, usage: UsageRecord, rated: _Rated) -> Reckoned | None:
    """How the units of one counter came to their cost; a correction across months has no reckoning of its own."""
    if len(rated.moves) != 1:
        return None
    (move,) = rated.moves
    reckoning = reckon_usage(rated.product, rated.price, before=move.before, quantity=move.quantity)
    return Reckoned(charge_id, usage.occurred_at, reckoning)
