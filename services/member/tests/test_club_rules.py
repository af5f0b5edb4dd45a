"""Rules of clubs, merchants and the shop on plain values, held as properties where they are some."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from chassis.calendar import Period
from chassis.ids import new_id
from chassis.money import Money
from hypothesis import given
from hypothesis import strategies as st
from member.domain.club import Candidate, ClubMembership, ClubMembershipId, ClubState, lapse
from member.domain.customer import CustomerId
from member.domain.membership import Holder, MemberId
from member.domain.merchant import Verification, VerificationId, code_drawn, code_read, code_shown, hash_of, new_code
from member.domain.program import GENERAL, TierId
from member.domain.settlement import (
    LineId,
    MerchantLine,
    Totals,
    line_of,
    period_at,
    settled_at,
    totals_of,
)
from member.domain.shop import Item, ItemText, Obstacle, offer_of
from member.domain.shop import TierPrice as Price

from services.member.tests.club_factories import CALENDAR, club, item, merchant, sale
from services.member.tests.factories import JANUARY, day

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
AMOUNTS = st.integers(min_value=1, max_value=10**9)
POINTS_OF_BASIS = st.integers(min_value=0, max_value=10_000)
CAPS = st.sampled_from([0, 1, 99, 10**6])


def membership(**changes: object) -> ClubMembership:
    """A membership in the golf club, active since day 0."""
    found = ClubMembership(
        ClubMembershipId("m"),
        club().club_id,
        MemberId("m-1"),
        Holder(CustomerId("c-1"), GENERAL),
        ClubState.ACTIVE,
        applied_at=JANUARY,
        active_since=JANUARY,
        terms=1,
        term_ends_at=None,
        renews=True,
        lapses_at=None,
        ended_at=None,
        end_reason=None,
        revision=1,
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def verification(basis_points: int) -> Verification:
    """A verification with a discount."""
    seen = VerificationId("v-1")
    none = merchant().shops[0].shop_id
    return Verification(
        seen, merchant().merchant_id, MemberId("m-1"), none, TierId("gold"), "Gold", basis_points, JANUARY, day(3)
    )


def line(amount_minor: int, basis_points: int, share: int, *, cap: int = 0, given_before: int = 0) -> MerchantLine:
    """A sale as it is settled."""
    agreed = merchant(operator_share_basis_points=share, month_discount_cap_minor=cap)
    sold = sale(VerificationId("v-1"), amount=Money(amount_minor, "CNY"))
    return line_of(
        sold, agreed, verification(basis_points), line_id=LineId(new_id()), given_in_month_minor=given_before
    )


@given(AMOUNTS, POINTS_OF_BASIS, POINTS_OF_BASIS, CAPS, st.integers(min_value=0, max_value=200))
def test_a_discount_is_never_more_than_agreed(amount: int, basis: int, share: int, cap: int, before: int) -> None:
    made = line(amount, basis, share, cap=cap, given_before=before)
    assert 0 <= made.share_minor <= made.discount_minor <= amount
    assert made.discount_minor * 10_000 <= amount * basis
    assert abs(made.share_minor * 10_000 - made.discount_minor * share) * 2 <= 10_000
    if cap:
        assert made.discount_minor <= max(0, cap - before)
    else:
        assert (made.discount_minor + 1) * 10_000 > amount * basis


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("sell"), AMOUNTS, st.integers(min_value=0, max_value=120)),
        st.tuples(st.just("back"), st.integers(min_value=0, max_value=30), st.integers(min_value=0, max_value=120)),
        st.tuples(st.just("close"), st.sampled_from(list(Period)[:4]), st.integers(min_value=0, max_value=140)),
    ),
    max_size=30,
)


class Books:
    """A merchant's lines and closed periods, kept by the rules alone."""

    def __init__(self) -> None:
        self.lines: list[MerchantLine] = []
        self.closed: list[tuple[datetime, datetime, Totals]] = []
        self.until = EARLIEST

    def kept(self) -> list[MerchantLine]:
        """Sales that were not taken back."""
        gone = {each.reverses for each in self.lines}
        return [each for each in self.lines if each.reverses is None and each.line_id not in gone]

    def sell(self, amount_minor: int, at: datetime) -> None:
        made = line(amount_minor, 777, 3_333)
        self.lines.append(replace(made, occurred_at=at, settled_at=settled_at(at, self.until)))

    def take_back(self, which: int, at: datetime) -> None:
        if known := self.kept():
            back = known[which % len(known)]
            at = max(at, back.occurred_at)
            taken = back.taken_back(LineId(new_id()), occurred_at=at, settled_at=settled_at(at, self.until))
            self.lines.append(taken)

    def close(self, kind: Period, as_of: datetime) -> None:
        first = min((each.settled_at for each in self.lines if each.settled_at >= self.until), default=None)
        if first is not None and first < CALENDAR.span(kind, as_of).start:
            period = period_at(CALENDAR, kind, first, closed_until=self.until)
            self.closed.append((period.start, period.end, self.between(period.start, period.end)))
            self.until = period.end

    def between(self, start: datetime, end: datetime) -> Totals:
        return totals_of(each for each in self.lines if start <= each.settled_at < end)


@given(STEPS)
def test_settlements_are_sales_less_reversals_at_any_cut(steps: list[tuple[str, int | Period, int]]) -> None:
    """Whatever is sold, taken back and closed: closed periods stay what they were, lie side by side, and together with
    what is open they are all lines."""
    books = Books()
    for what, value, number in steps:
        if isinstance(value, Period):
            books.close(value, day(number))
        elif what == "sell":
            books.sell(value, day(number))
        else:
            books.take_back(value, day(number))
        for start, end, totals in books.closed:
            assert books.between(start, end) == totals
        assert all(before[1] <= after[0] for before, after in pairwise(books.closed))
        total = sum((each[2] for each in books.closed), books.between(books.until, day(10_000)))
        assert total == totals_of(books.lines)
        assert (total.amount_minor, total.share_minor) == (
            sum(each.amount_minor for each in books.kept()),
            sum(each.share_minor for each in books.kept()),
        )


@given(st.integers(min_value=0, max_value=3_000), st.integers(min_value=1, max_value=24))
def test_terms_follow_each_other_and_never_drift(start: int, months: int) -> None:
    rules = club(term_months=months)
    begun = membership(active_since=day(start)).with_term(rules, CALENDAR, 1)
    ends = [begun]
    for _ in range(12):
        ends.append(ends[-1].renewed(rules, CALENDAR))
    instants = [each.term_ends_at for each in ends if each.term_ends_at is not None]
    assert instants == sorted(set(instants))
    first = CALENDAR.day_of(day(start))
    for number, instant in enumerate(instants, 1):
        assert CALENDAR.start_of(CALENDAR.day_of(instant)) == instant
        assert CALENDAR.day_of(instant).day == first.day or first.day > 28
        assert number * months * 28 <= (instant - CALENDAR.start_of(first)).days <= number * months * 31


@given(st.integers(min_value=0, max_value=50), st.integers(min_value=0, max_value=400))
def test_the_grace_is_counted_from_the_fall_or_from_joining(fell: int, grace: int) -> None:
    rules, lost = club(grace_days=grace), Candidate(False, day(fell), JANUARY)
    held = membership(active_since=day(25))
    fallen = lapse(rules, held, lost)
    assert fallen.lapses_at == day(max(fell, 25)) + timedelta(days=grace)
    assert lapse(rules, fallen, replace(lost, tier_since=day(fell + 1))) == fallen
    assert lapse(rules, fallen, replace(lost, tier_reaches=True)).lapses_at is None
    assert lapse(rules, held, replace(lost, tier_reaches=True)) is held


def test_a_code_is_read_however_it_is_said() -> None:
    codes = {new_code() for _ in range(1_000)}
    assert len(codes) == 1_000
    for code in list(codes)[:100]:
        spoken = code_shown(code).lower().replace("0", "o").replace("1", "i")
        said = [code, code_drawn(code), f" {code_shown(code)} ", spoken]
        assert {hash_of(code_read(each)) for each in said} == {hash_of(code)}
    assert set("".join(codes)) == set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")


def test_a_member_is_spoken_to_in_the_language_wanted_or_in_the_first() -> None:
    words = tuple(ItemText(each, each, "") for each in ("zh-CN", "en-GB", "en"))
    wanted = ("en", "EN-gb", "zh", "zh-TW", "en-US", "", "fr")
    found = [item(texts=words).text_in(each).language for each in wanted]
    assert found == ["en", "en-GB", "zh-CN", "zh-CN", "en-GB", "zh-CN", "zh-CN"]


@given(
    st.integers(min_value=0, max_value=200),
    st.integers(min_value=0, max_value=3),
    st.integers(min_value=0, max_value=3),
)
def test_an_offer_names_all_that_is_in_the_way(available: int, taken: int, limit: int) -> None:
    cup: Item = replace(item(per_member_limit=limit, prices=(Price(TierId("gold"), 100),)), stock=taken % 2)
    offer = offer_of(cup, TierId("gold"), available=available, taken=taken)
    assert (Obstacle.NOT_ENOUGH_POINTS in offer.obstacles) == (available < 100)
    assert (Obstacle.LIMIT_REACHED in offer.obstacles) == (0 < limit <= taken)
    assert (Obstacle.OUT_OF_STOCK in offer.obstacles) == (taken % 2 == 0)
    assert offer.points_missing == max(0, 100 - available)
    assert offer_of(cup, TierId("none"), available=available, taken=0).obstacles[0] is Obstacle.NOT_FOR_YOUR_TIER
