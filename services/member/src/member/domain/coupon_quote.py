"""The best lawful combination of coupons for an order.

Which coupons may be used together, and a search by branch and bound for those that take off the most; of equal ones for
the fewest, and of these for the sooner to expire. An order takes 20 coupons at most. The search is exact for up to 20
coupons that differ (beyond what their own limits let into one order, coupons of one kind do not count) and 5,000 nodes.
Past that it gives the best
combination of the 20 that are worth most alone, filled up with what still adds something, says that it is not proven,
and names an amount that no combination exceeds.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from chassis.money import MAX_BASIS_POINTS

from member.domain.coupon import CouponId
from member.domain.coupon_order import (
    MAX_COUPONS,
    Candidate,
    Order,
    Priced,
    Till,
    apply_coupons,
    in_order,
    split,
    worked_on,
    worth,
)
from member.domain.coupon_template import AmountOff, FreeProduct

EXACT_MAX = 20
NODES_MAX = 5_000

_UNLIMITED = 10**9
# Parts of a minor unit that the bound reckons with, so that its rounding costs next to nothing.
_FINE = 1_000


@dataclass(frozen=True, slots=True)
class Best:
    """The coupons chosen and the order priced with them. `at_most_minor` is an amount that no lawful combination
    exceeds: what was found, where that is proven to be the best."""

    chosen: tuple[CouponId, ...]
    priced: Priced
    exact: bool
    at_most_minor: int


def lawful(coupons: Sequence[Candidate]) -> bool:
    """Whether these coupons may be used in one order together. What is lawful stays so when one is left out."""
    if len(coupons) > MAX_COUPONS:
        return False
    groups = Counter(one.terms.stacking.group for one in coupons)
    quotas = Counter(key for one in coupons for key, _ in one.quotas)
    for place, one in enumerate(coupons):
        stacking = one.terms.stacking
        if stacking.order_limit and len(coupons) > stacking.order_limit:
            return False
        if stacking.group_limit and groups[stacking.group] > stacking.group_limit:
            return False
        if any(quotas[key] > most for key, most in one.quotas):
            return False
        if not all(_combine(one, other) for other in coupons[place + 1 :]):
            return False
    return True


def best_combination(
    coupons: Sequence[Candidate], order: Order, *, exact_max: int = EXACT_MAX, nodes_max: int = NODES_MAX
) -> Best:
    """The lawful combination that takes off the most; each coupon is usable for the order on its own."""
    useful = _without_surplus(coupons)
    alone = {one.coupon_id: apply_coupons([one], order).discount_minor for one in useful}
    useful.sort(key=lambda one: (-alone[one.coupon_id], one.urgency))
    kept = useful[:exact_max]
    search = _Search(in_order(kept, order), order, nodes_max)
    chosen = search.run()
    exact = len(kept) == len(useful) and search.nodes <= nodes_max
    if not exact:
        chosen = _fill_up(chosen, useful, order)
    priced = apply_coupons(chosen, order)
    bound = priced.discount_minor if exact else _Search(in_order(useful, order), order, 0).most()
    exact = bound == priced.discount_minor
    return Best(tuple(part.coupon_id for part in priced.parts), priced, exact, bound)


def _combine(one: Candidate, other: Candidate) -> bool:
    return one.terms.stacking.admits(other.terms.stacking) and other.terms.stacking.admits(one.terms.stacking)


def _most_of_kind(one: Candidate) -> int:
    """How many coupons of its kind one order can take."""
    stacking = one.terms.stacking
    if not _combine(one, one):
        return 1
    limits = [
        stacking.group_limit or MAX_COUPONS,
        stacking.order_limit or MAX_COUPONS,
        *(most for _, most in one.quotas),
    ]
    return min(MAX_COUPONS, *limits)


def _without_surplus(coupons: Sequence[Candidate]) -> list[Candidate]:
    """Of each kind those soonest to expire, as many as one order can take: others could only take their places."""
    seen: Counter[object] = Counter()
    kept = []
    for one in sorted(coupons, key=lambda each: each.urgency):
        if seen[one.kind] < _most_of_kind(one):
            seen[one.kind] += 1
            kept.append(one)
    return kept


def _fill_up(chosen: Sequence[Candidate], coupons: Sequence[Candidate], order: Order) -> list[Candidate]:
    """Add whatever still adds something, in their order; each is tried once, so that hundreds of them take no longer
    than so many orders to price."""
    filled = list(chosen)
    got = apply_coupons(filled, order).discount_minor
    for one in coupons:
        if one not in filled and lawful([*filled, one]):
            more = apply_coupons([*filled, one], order).discount_minor
            if more > got:
                filled.append(one)
                got = more
    return filled


class _Node(NamedTuple):
    """A choice half made: what is chosen of the coupons before `place`, and what that leaves to pay. Of the kinds in
    `closed` one was left out."""

    place: int
    chosen: tuple[int, ...]
    till: Till
    got: int
    closed: frozenset[object]


class _Search:
    """Goes through the coupons in the order in which they are applied, takes or leaves each, and turns back where what
    is left cannot beat the best found so far."""

    def __init__(self, coupons: Sequence[Candidate], order: Order, nodes_max: int) -> None:
        self.coupons = coupons
        self.order = order
        self.nodes_max = nodes_max
        self.nodes = 0
        self.bound = _Bound(coupons, [worked_on(one.terms, order) for one in coupons])
        self.together = [{place for place, other in enumerate(coupons) if _combine(one, other)} for one in coupons]
        self.best: tuple[int, ...] = ()
        self.best_minor = 0
        self.best_urgency: list[tuple[datetime, str]] = []

    def run(self) -> list[Candidate]:
        """The best combination, as far as the nodes allow."""
        self._visit(_Node(0, (), Till(self.order), 0, frozenset()))
        return [self.coupons[place] for place in self.best]

    def most(self) -> int:
        """An amount that no combination exceeds."""
        return self.bound.of(range(len(self.coupons)), Till(self.order), MAX_COUPONS)

    def _visit(self, node: _Node) -> None:
        self.nodes += 1
        if self.nodes > self.nodes_max:
            return
        self._consider(node)
        room = _Room([self.coupons[each] for each in node.chosen])
        rest = [each for each in range(node.place, len(self.coupons)) if self._fits(node, room, each)]
        if not rest or not self._can_improve(node, room, rest):
            return
        first = rest[0]
        till = node.till.copy()
        gain = sum(till.take(self.coupons[first].terms))
        self._visit(_Node(first + 1, (*node.chosen, first), till, node.got + gain, node.closed))
        # Who leaves one of a kind need not look at a later one of it: they are equal but for their expiry.
        self._visit(node._replace(place=first + 1, closed=node.closed | {self.coupons[first].kind}))

    def _fits(self, node: _Node, room: "_Room", place: int) -> bool:
        one = self.coupons[place]
        return one.kind not in node.closed and self.together[place].issuperset(node.chosen) and room.takes(one)

    def _consider(self, node: _Node) -> None:
        if node.got < self.best_minor:
            return
        urgency = sorted(self.coupons[each].urgency for each in node.chosen)
        if (-node.got, len(node.chosen), urgency) < (-self.best_minor, len(self.best), self.best_urgency):
            self.best, self.best_minor, self.best_urgency = node.chosen, node.got, urgency

    def _can_improve(self, node: _Node, room: "_Room", rest: Sequence[int]) -> bool:
        reachable = node.got + self.bound.of(rest, node.till, room.free)
        if reachable != self.best_minor:
            return reachable > self.best_minor
        return self._can_win_a_tie(node, rest)

    def _can_win_a_tie(self, node: _Node, rest: Sequence[int]) -> bool:
        """Whether as much could be taken off with fewer coupons, or with as many that expire sooner."""
        least = len(node.chosen) + self.bound.fewest(rest, node.till, self.best_minor - node.got)
        if least != len(self.best):
            return least < len(self.best)
        chosen = [self.coupons[each].urgency for each in node.chosen]
        soonest = sorted(self.coupons[each].urgency for each in rest)[: len(self.best) - len(chosen)]
        return sorted(chosen + soonest) < self.best_urgency


class _Room:
    """How many more coupons a choice can take, altogether and of each sort."""

    def __init__(self, chosen: Sequence[Candidate]) -> None:
        self.groups = Counter(one.terms.stacking.group for one in chosen)
        self.quotas = Counter(key for one in chosen for key, _ in one.quotas)
        self.size = len(chosen)
        self.free = min([MAX_COUPONS, *(one.terms.stacking.order_limit or MAX_COUPONS for one in chosen)]) - self.size
        self.group_limits: dict[str, int] = {}
        for one in chosen:
            group, limit = one.terms.stacking.group, one.terms.stacking.group_limit or _UNLIMITED
            self.group_limits[group] = min(limit, self.group_limits.get(group, _UNLIMITED))

    def takes(self, one: Candidate) -> bool:
        """Whether one more coupon keeps every limit of the choice and its own."""
        stacking = one.terms.stacking
        group_limit = min(stacking.group_limit or _UNLIMITED, self.group_limits.get(stacking.group, _UNLIMITED))
        return (
            self.free > 0
            and self.size < (stacking.order_limit or _UNLIMITED)
            and self.groups[stacking.group] < group_limit
            and all(self.quotas[key] < most for key, most in one.quotas)
        )


class _Bound:
    """What a choice of the coupons that are left can take off at most.

    Two bounds, of which the smaller counts. One adds up what each would take off alone, the largest as far as limits
    go. The other applies them all, lawful together or not: taking one more never leaves more to pay, but for the
    rounding of splits, which is allowed for.
    """

    def __init__(self, coupons: Sequence[Candidate], places: Sequence[Sequence[int]]) -> None:
        self.coupons = coupons
        self.places = places
        self.free = [isinstance(one.terms.discount, FreeProduct) for one in coupons]
        shares = {tuple(each) for each, free in zip(places, self.free, strict=True) if not free}
        # Where no two coupons overlap in part, what is left on the lines of each depends on their sum alone.
        self.nested = all(one == other or not set(one) & set(other) for one in shares for other in shares)

    def of(self, rest: Sequence[int], till: Till, count: int) -> int:
        """The most that a choice of `count` of these coupons can take off what is left."""
        return min(self._alone(rest, till, count), self._all(rest, till))

    def _alone(self, rest: Sequence[int], till: Till, count: int) -> int:
        gains = sorted(((self._gain(each, till), each) for each in rest), reverse=True)
        taken: Counter[str] = Counter()
        total = 0
        for gain, each in gains:
            if count <= 0:
                break
            if all(taken[key] < most for key, most in self._keys(each)):
                taken.update(key for key, _ in self._keys(each))
                total += gain
                count -= 1
        return total

    def fewest(self, rest: Sequence[int], till: Till, wanted_minor: int) -> int:
        """How many of these coupons it takes at least to take off so much."""
        count = 0
        for gain in sorted((self._gain(each, till) for each in rest), reverse=True):
            if wanted_minor <= 0:
                break
            wanted_minor -= gain
            count += 1
        return count if wanted_minor <= 0 else _UNLIMITED

    def _keys(self, place: int) -> Iterator[tuple[str, int]]:
        """One limit of the coupon: with one for each the sum of the largest is a bound, with several it need not be."""
        one = self.coupons[place]
        if one.terms.stacking.group_limit:
            yield f"group {one.terms.stacking.group}", one.terms.stacking.group_limit
        elif one.quotas:
            yield min(one.quotas, key=lambda each: each[1])

    def _gain(self, place: int, till: Till) -> int:
        discount = self.coupons[place].terms.discount
        if isinstance(discount, FreeProduct):
            return sum(till.copy().take(self.coupons[place].terms))
        return worth(discount, sum(till.left[each] for each in self.places[place]))

    def _all(self, rest: Sequence[int], till: Till) -> int:
        emptied = till.copy()
        for each in rest:
            if self.free[each]:
                emptied.take(self.coupons[each].terms)
        fine = 1 if self.nested else _FINE
        left = [each * fine for each in emptied.left]
        slack = 0
        for each in rest:
            if not self.free[each]:
                self._take_finely(each, left, fine)
                slack += 0 if self.nested else (len(self.places[each]) + 1) // 2
        return (sum(till.left) * fine - sum(left)) // fine + slack

    def _take_finely(self, place: int, left: list[int], fine: int) -> None:
        """Take off what the coupon gives, in parts of a unit and rounded so that rather less is left."""
        discount, places = self.coupons[place].terms.discount, self.places[place]
        assert not isinstance(discount, FreeProduct)
        weights = [left[each] for each in places]
        whole = sum(weights)
        if self.nested:
            parts = split(worth(discount, whole), weights)
        elif isinstance(discount, AmountOff):
            parts = _rounded_up(min(discount.amount_minor * fine, whole), weights)
        else:
            share = -(-whole * discount.basis_points // MAX_BASIS_POINTS)
            parts = _rounded_up(min(share, (discount.cap_minor or whole) * fine), weights)
        for each, part in zip(places, parts, strict=True):
            left[each] -= part


def _rounded_up(total: int, weights: Sequence[int]) -> list[int]:
    """A total over weights, each part rounded up: rather more than the total."""
    whole = sum(weights)
    return [-(-total * weight // whole) for weight in weights] if whole else [0] * len(weights)
