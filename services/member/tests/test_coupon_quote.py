"""The best combination against brute force: every subset, in every order, priced by another hand."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import combinations, permutations

import pytest
from chassis.errors import InvalidArgument
from hypothesis import given, settings
from hypothesis import strategies as st
from member.domain.coupon import CouponId
from member.domain.coupon_order import MAX_COUPONS, Candidate, Order, OrderLine, apply_coupons, check_order, split
from member.domain.coupon_quote import best_combination, lawful
from member.domain.coupon_template import (
    AmountOff,
    Discount,
    FreeProduct,
    PercentOff,
    Scope,
    Stacking,
    TemplateId,
)

from services.member.tests.coupon_steps import candidate, order, terms

JANUARY = datetime(2026, 1, 1, tzinfo=UTC)
FAMILIES = ["tv", "net", "phone"]


@st.composite
def orders(draw: st.DrawFn, most: int = 300) -> Order:
    """A small order; products and families repeat."""
    line = st.builds(
        OrderLine,
        st.sampled_from(["p0", "p1", "p2"]),
        st.sampled_from(FAMILIES),
        st.integers(0, most),
        st.integers(1, 3),
    )
    return Order("CNY", tuple(draw(st.lists(line, min_size=1, max_size=4))))


DISCOUNTS: st.SearchStrategy[Discount] = st.one_of(
    st.builds(AmountOff, st.integers(1, 200)),
    st.builds(PercentOff, st.sampled_from([1, 333, 1000, 5000, 10_000]), st.sampled_from([0, 0, 5, 40])),
    st.builds(FreeProduct, st.sampled_from(["p0", "p1"]), st.integers(1, 2)),
)
FAMILY_SETS = st.frozensets(st.sampled_from(FAMILIES), max_size=2)
SCOPES = st.builds(Scope, families=FAMILY_SETS, excluded_product_ids=st.frozensets(st.just("p2")))
STACKINGS = st.builds(
    Stacking,
    exclusive=st.sampled_from([False] * 5 + [True]),
    group=st.sampled_from(["a", "b"]),
    stacks_with=st.sampled_from([frozenset(), frozenset(), frozenset(["a"]), frozenset(["a", "b"])]),
    group_limit=st.sampled_from([0, 0, 1, 2]),
    order_limit=st.sampled_from([0, 0, 2, 3]),
)


@st.composite
def candidates(draw: st.DrawFn, most: int = 5) -> list[Candidate]:
    """Coupons of a few templates, some of them of one kind, with limits that several share."""
    kinds = draw(st.lists(st.tuples(DISCOUNTS, SCOPES, STACKINGS), min_size=1, max_size=4))
    limited = draw(st.sampled_from([0, 0, 1, 2]))
    found = []
    for place in range(draw(st.integers(1, most))):
        kind = draw(st.integers(0, len(kinds) - 1))
        discount, scope, stacking = kinds[kind]
        found.append(
            Candidate(
                CouponId(f"c{place}"),
                TemplateId(f"t{kind}"),
                1,
                terms(discount, scope=scope, stacking=stacking),
                JANUARY + timedelta(days=draw(st.integers(1, 3))),
                quotas=((f"t{kind}", limited),) if limited and kind == 0 else (),
            )
        )
    return found


def plainly_lawful(chosen: tuple[Candidate, ...]) -> bool:
    """The rules of stacking, one coupon and one pair at a time."""
    for one in chosen:
        mine = one.terms.stacking
        others = [each for each in chosen if each is not one]
        if mine.exclusive and others:
            return False
        if any(mine.stacks_with and each.terms.stacking.group not in mine.stacks_with for each in others):
            return False
        if mine.group_limit and sum(each.terms.stacking.group == mine.group for each in chosen) > mine.group_limit:
            return False
        if mine.order_limit and len(chosen) > mine.order_limit:
            return False
        if any(sum((key, most) in each.quotas for each in chosen) > most for key, most in one.quotas):
            return False
    return True


def touches(one: Candidate, line: OrderLine) -> bool:
    """Whether the coupon takes something off a line."""
    if isinstance(one.terms.discount, FreeProduct):
        return line.product_id == one.terms.discount.product_id
    scope = one.terms.scope
    named = (not scope.product_ids and not scope.families) or line.family in scope.families
    return (named or line.product_id in scope.product_ids) and line.product_id not in scope.excluded_product_ids


def plainly_shared(discount: AmountOff | PercentOff, left: dict[int, int]) -> dict[int, int]:
    """What is taken off each line of what is left on it."""
    whole = sum(left.values())
    if isinstance(discount, AmountOff):
        off = min(whole, discount.amount_minor)
    else:
        off = int(Fraction(whole * discount.basis_points, 10_000))
        off = min(off, discount.cap_minor) if discount.cap_minor else off
    shares = {place: Fraction(off * each, whole) if whole else Fraction(0) for place, each in left.items()}
    given = {place: int(share) for place, share in shares.items()}
    for place in sorted(shares, key=lambda each: (int(shares[each]) - shares[each], each)):
        given[place] += 1 if sum(given.values()) < off else 0
    return given


def plainly_priced(chosen: tuple[Candidate, ...], wanted: Order) -> int:
    """What the coupons take off, unit by unit and line by line."""

    def place_in_line(one: Candidate) -> tuple[object, ...]:
        kinds = [FreeProduct, PercentOff, AmountOff]
        worth = sum(line.unit_price_minor * line.quantity for line in wanted.lines if touches(one, line))
        return kinds.index(type(one.terms.discount)), worth, one.template_id, one.valid_to, one.coupon_id

    units = [[line.unit_price_minor] * line.quantity for line in wanted.lines]
    left = [sum(each) for each in units]
    for one in sorted(chosen, key=place_in_line):
        lines = [place for place, line in enumerate(wanted.lines) if touches(one, line)]
        discount = one.terms.discount
        if isinstance(discount, FreeProduct):
            paid = sorted((-price, place) for place in lines for price in units[place])
            for price, place in paid[: discount.quantity]:
                units[place].remove(-price)
                left[place] += price
            continue
        for place, off in plainly_shared(discount, {place: left[place] for place in lines}).items():
            left[place] -= off
    assert min(left) >= 0
    return wanted.price_minor - sum(left)


def by_brute_force(found: list[Candidate], wanted: Order) -> tuple[int, list[str]]:
    """The best of all subsets: the most off, then the fewest, then the sooner to expire."""
    subsets = [each for size in range(len(found) + 1) for each in combinations(found, size) if plainly_lawful(each)]
    ranked = [
        (-plainly_priced(each, wanted), len(each), sorted((one.valid_to, one.coupon_id) for one in each))
        for each in subsets
    ]
    best = min(ranked)
    return -best[0], sorted(coupon_id for _, coupon_id in best[2])


@settings(max_examples=150)
@given(candidates(), orders())
def test_the_best_combination_is_that_of_brute_force(found: list[Candidate], wanted: Order) -> None:
    best = best_combination(found, wanted)
    assert best.exact
    assert (best.priced.discount_minor, sorted(best.chosen)) == by_brute_force(found, wanted)
    assert best.at_most_minor == best.priced.discount_minor


@settings(max_examples=50)
@given(candidates(most=4), orders())
def test_the_order_in_which_coupons_are_named_changes_nothing(found: list[Candidate], wanted: Order) -> None:
    outcomes = {apply_coupons(each, wanted) for each in permutations(found)}
    assert len(outcomes) == 1
    (priced,) = outcomes
    assert priced.discount_minor == plainly_priced(tuple(found), wanted)
    assert all(lawful(each) == plainly_lawful(each) for each in permutations(found))
    for place, line in enumerate(wanted.lines):
        assert 0 <= sum(part.by_line[place] for part in priced.parts) <= line.price_minor


@settings(max_examples=60)
@given(candidates(most=6), orders(), st.integers(1, 3), st.sampled_from([3, 10, 5_000]))
def test_past_its_bound_it_gives_no_less_than_it_promises(
    found: list[Candidate], wanted: Order, exact_max: int, nodes_max: int
) -> None:
    best = best_combination(found, wanted, exact_max=exact_max, nodes_max=nodes_max)
    most, _ = by_brute_force(found, wanted)
    assert best.priced.discount_minor <= most <= best.at_most_minor
    assert lawful([one for one in found if one.coupon_id in best.chosen])
    if best.exact:
        assert best.priced.discount_minor == most
    elif nodes_max == 5_000:
        alone = sorted((plainly_priced((one,), wanted) for one in found), reverse=True)
        assert best.priced.discount_minor >= alone[0]


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=9), st.data())
def test_parts_sum_to_the_whole_and_none_exceeds_its_weight(weights: list[int], data: st.DataObject) -> None:
    total = data.draw(st.integers(0, sum(weights)))
    parts = split(total, weights)
    assert sum(parts) == total
    assert all(part <= weight for part, weight in zip(parts, weights, strict=True))
    whole = sum(weights)
    if whole:
        assert all(abs(part - Fraction(total * weight, whole)) < 1 for part, weight in zip(parts, weights, strict=True))


def test_products_first_then_shares_then_amounts() -> None:
    free, share, amount = (
        candidate("free", terms(FreeProduct("p0"))),
        candidate("share", terms(PercentOff(1_000, 500))),
        candidate("amount", terms(AmountOff(7_00))),
    )
    priced = apply_coupons([amount, share, free], order(20_00, 30_00, 10_00))
    assert [(part.coupon_id, part.by_line) for part in priced.parts] == [
        ("free", (20_00, 0, 0)),
        ("share", (0, 3_00, 1_00)),
        ("amount", (0, 5_25, 1_75)),
    ]


def test_twenty_coupons_that_all_combine_are_chosen_exactly() -> None:
    found = [candidate(f"c{n:02}", terms(PercentOff(100 + n)), days=n + 1) for n in range(20)]
    best = best_combination(found, order(100_00, 50_00))
    assert best.exact
    assert len(best.chosen) == 20


def test_of_equal_coupons_the_sooner_to_expire_is_taken_and_the_others_are_kept() -> None:
    found = [candidate(f"c{n:02}", terms(AmountOff(60_00)), days=40 - n, template="t") for n in range(30)]
    best = best_combination(found, order(100_00))
    assert best.exact
    assert best.chosen == ("c29", "c28")


def test_orders_that_cannot_be_are_malformed() -> None:
    lines = (OrderLine("p 0", "tv", -1, 0), OrderLine("p", "", 10**12, 10**6))
    with pytest.raises(InvalidArgument) as refusal:
        check_order(Order("yuan", lines, "a b"))
    assert [each.field for each in refusal.value.violations] == [
        "order.currency",
        "order.channel",
        "order.lines[0].product_id",
        "order.lines[0].unit_price_minor_units",
        "order.lines[0].quantity",
        "order.lines",
    ]


def test_an_order_takes_no_more_coupons_than_one_may_name_for_it() -> None:
    many = [candidate(f"c{place:02}", terms(AmountOff(100 + place))) for place in range(40)]
    best = best_combination(many, order(*[10_000] * 3))
    assert len(best.chosen) == MAX_COUPONS
    assert best.exact, "the 20 that are worth most are the best 20, and the bound says so"
    assert best.priced.discount_minor == sum(range(120, 140))
    same = [candidate(f"c{place:03}", terms(AmountOff(100)), template="t") for place in range(300)]
    assert len(best_combination(same, order(100_000)).chosen) == MAX_COUPONS
    assert lawful(many[:MAX_COUPONS])
    assert not lawful(many[: MAX_COUPONS + 1])
