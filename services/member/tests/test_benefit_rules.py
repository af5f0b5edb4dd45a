"""Rules of benefits: what follows from a state at an instant, and places of quotas against a plain model."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from chassis.calendar import Calendar, Period
from chassis.errors import FieldViolation, InvalidArgument
from hypothesis import given
from hypothesis import strategies as st
from member.domain.benefit import (
    EVERY_PRODUCT,
    MAX_BENEFITS,
    Benefit,
    BenefitId,
    Discount,
    EarnRate,
    EventPriority,
    Perk,
    ProductFamily,
    Quota,
    ServicePriority,
    Terms,
    benefit_violations,
)
from member.domain.benefit_use import (
    BenefitNotHeld,
    BenefitUse,
    BenefitUsedUp,
    Option,
    Place,
    QuotaBook,
    TakeBenefit,
    UseId,
    UseState,
    options_of,
)
from member.domain.customer import EVERYBODY, CustomerId, PersonId
from member.domain.entitlement import (
    EntitlementState,
    GrantedBenefit,
    GrantId,
    HeldTier,
    QuotaCount,
    SourceId,
    entitlements_at,
)
from member.domain.membership import MemberId
from member.domain.program import GENERAL, TierId
from member.store.benefit_documents import benefit_from_json, benefit_to_json
from member.store.entitlements import state_from_text, state_to_text
from member.wire.benefits import benefit_from_proto, benefit_to_proto

from services.member.tests.factories import JANUARY, day

CALENDAR = Calendar(ZoneInfo("Asia/Shanghai"))
C1 = CustomerId("c-1")
TV, MOBILE = ProductFamily("tv"), ProductFamily("mobile")

EVERY_KIND: tuple[Terms, ...] = (
    Discount(TV, 500),
    EarnRate(EVERY_PRODUCT, 150),
    ServicePriority(3),
    EventPriority(4),
    Quota(Period.QUARTER, 2),
    Perk("A cake on the birthday"),
)


def benefit(terms: Terms, benefit_id: str = "b") -> Benefit:
    """A benefit with some name."""
    return Benefit(BenefitId(benefit_id), "Benefit", terms)


def tier(*terms: Terms, member_id: str = "m-1", person_id: str = "") -> HeldTier:
    """A tier held, with benefits `b0`, `b1` …"""
    benefits = tuple(benefit(each, f"b{index}") for index, each in enumerate(terms))
    return HeldTier(MemberId(member_id), GENERAL, PersonId(person_id), TierId("gold"), 2, benefits)


def granted(terms: Terms, starts: int, ends: int, grant_id: str = "g-1") -> GrantedBenefit:
    """A benefit granted from one day until another."""
    return GrantedBenefit(GrantId(grant_id), EVERYBODY, benefit(terms), day(starts), day(ends))


@pytest.mark.parametrize("terms", EVERY_KIND, ids=lambda terms: type(terms).__name__)
def test_a_benefit_is_the_same_after_every_translation(terms: Terms) -> None:
    one = benefit(terms)
    assert benefit_from_json(benefit_to_json(one)) == one
    assert benefit_from_proto("benefit", benefit_to_proto(one)) == one


def test_a_state_is_the_same_after_it_was_written() -> None:
    span = CALENDAR.span(Period.EVER, day(1))
    count = QuotaCount(SourceId("m-1"), BenefitId("b4"), span, 3, (day(2), day(2) + timedelta(microseconds=1)))
    state = EntitlementState(C1, (tier(*EVERY_KIND),), (granted(EVERY_KIND[0], 1, 2),), (count,), 7)
    assert state_from_text("c-1", state_to_text(state), 7) == state
    assert state_from_text("c-1", "{}", 0) == EntitlementState(C1)


def test_of_rates_and_priorities_the_best_counts() -> None:
    rates = (Discount(TV, 500), Discount(EVERY_PRODUCT, 600), Discount(MOBILE, 900), EarnRate(TV, 150))
    other = (Discount(TV, 300), EarnRate(TV, 200), ServicePriority(2), EventPriority(5), ServicePriority(9))
    state = EntitlementState(C1, (tier(*rates), tier(*other, member_id="m-2")))
    held = entitlements_at(state, EVERYBODY, day(1), CALENDAR)
    assert held.discounts == {"": 600, "mobile": 900, "tv": 600}
    assert held.earn_rates == {"tv": 200}
    assert (held.service_priority, held.event_priority) == (9, 5)


def test_a_person_has_what_everybody_has_and_its_own() -> None:
    state = EntitlementState(
        C1,
        (tier(Discount(TV, 100)), tier(Discount(TV, 200), person_id="p-1"), tier(Discount(TV, 300), person_id="p-2")),
    )
    found = {who: entitlements_at(state, PersonId(who), day(1), CALENDAR) for who in ("", "p-1", "p-2", "p-3")}
    assert {who: held.discounts[TV] for who, held in found.items()} == {"": 100, "p-1": 200, "p-2": 300, "p-3": 100}
    assert {who: len(held.tiers) for who, held in found.items()} == {"": 1, "p-1": 2, "p-2": 2, "p-3": 1}


def test_a_quota_lowered_below_its_use_has_nothing_left() -> None:
    span = CALENDAR.span(Period.YEAR, day(1))
    count = QuotaCount(SourceId("m-1"), BenefitId("b0"), span, 3, ())
    state = EntitlementState(C1, (tier(Quota(Period.YEAR, 2)),), counts=(count,))
    (left,) = entitlements_at(state, EVERYBODY, day(1), CALENDAR).quotas
    assert (left.used, left.available, left.renews_at) == (3, 0, span.end)


def test_bad_benefits_name_every_field() -> None:
    bad: list[Terms] = [
        Discount(TV, 0),
        Discount(TV, 10_001),
        EarnRate(TV, 100),
        ServicePriority(0),
        EventPriority(101),
    ]
    worse: list[Terms] = [Quota(Period.DAY, 0), Quota(Period.DAY, 1001), Perk(" "), Perk("a\nb"), Perk("x" * 501)]
    found = [
        violation.field for violation in benefit_violations("t", [benefit(each, f"b{n}") for n, each in enumerate(bad)])
    ]
    assert found == [
        "t[0].discount.basis_points",
        "t[1].discount.basis_points",
        "t[2].earn_rate.multiplier_percent",
        "t[3].service_priority.level",
        "t[4].event_priority.level",
    ]
    assert len(list(benefit_violations("t", [benefit(each, f"b{n}") for n, each in enumerate(worse)]))) == len(worse)
    twice = list(benefit_violations("t", [benefit(EVERY_KIND[2])] * 2))
    assert twice == [FieldViolation("t[1].benefit_id", "must not repeat within the tier")]
    many = [benefit(EVERY_KIND[2], f"b{n}") for n in range(MAX_BENEFITS + 1)]
    assert [violation.field for violation in benefit_violations("t", many)] == ["t"]


def test_a_wish_for_a_place_is_of_some_length_and_note() -> None:
    def wish(until: datetime | None, note: str = "") -> TakeBenefit:
        return TakeBenefit(UseId("u"), C1, EVERYBODY, BenefitId("b"), None, day(1), until, note)

    assert wish(day(401)).expires_at == day(401)
    for until, note, field in ((day(1), "", "expires_at"), (day(402), "", "expires_at"), (None, "a\x00", "note")):
        with pytest.raises(InvalidArgument) as refusal:
            wish(until, note)
        assert [violation.field for violation in refusal.value.violations] == [field]


Wish = tuple[int, int | None, str | None]
WISHES = st.lists(
    st.tuples(
        st.integers(0, 500),
        st.one_of(st.none(), st.integers(1, 300)),
        st.sampled_from([None, "m-1", "g-1", "elsewhere"]),
    ),
    max_size=25,
)


@given(WISHES, st.integers(1, 3), st.integers(1, 2))
def test_places_are_given_as_a_plain_count_says(wishes: list[Wish], of_tier: int, of_grant: int) -> None:
    """A model that looks through everything taken so far, for each wish anew."""
    state = EntitlementState(
        C1,
        (tier(Quota(Period.YEAR, of_tier)),),
        (GrantedBenefit(GrantId("g-1"), EVERYBODY, benefit(Quota(Period.MONTH, of_grant), "b0"), day(0), day(100)),),
    )
    book = QuotaBook([])
    taken: list[tuple[str, datetime, datetime, datetime | None]] = []  # source, period, from, until
    for number, (after, lasting, source) in enumerate(wishes):
        at = JANUARY + timedelta(days=after)
        until = None if lasting is None else at + timedelta(days=lasting)
        named = SourceId(source) if source else None
        wanted = TakeBenefit(UseId(f"u-{number}"), C1, EVERYBODY, BenefitId("b0"), named, at, until)
        outcome = book.take(wanted, options_of(wanted, state, CALENDAR))
        allowed = {"m-1": (Period.YEAR, of_tier)} | ({"g-1": (Period.MONTH, of_grant)} if at < day(100) else {})
        expected: object = BenefitNotHeld
        for each, (period, uses) in allowed.items():
            if source not in (None, each):
                continue
            start = CALENDAR.span(period, at).start
            taken = [use for use in taken if use[:2] != (each, start) or use[3] is None or use[3] > at]
            if sum(use[:2] == (each, start) for use in taken) < uses:
                taken.append((each, start, at, until))
                expected = each
                break
            expected = BenefitUsedUp
        assert outcome.source_id == expected if isinstance(outcome, BenefitUse) else type(outcome) is expected


def test_a_place_given_away_is_not_confirmed_however_late_that_is_told() -> None:
    span = CALENDAR.span(Period.YEAR, day(1))
    place = Place(C1, SourceId("m-1"), BenefitId("b0"), span)
    first = BenefitUse(
        UseId("u-1"), C1, EVERYBODY, place.source_id, place.benefit_id, UseState.RESERVED, span, day(1), day(3)
    )
    book = QuotaBook([first])
    late = TakeBenefit(UseId("u-2"), C1, EVERYBODY, place.benefit_id, None, day(3), None)
    assert isinstance(book.take(late, [Option(place, 1)]), BenefitUse)
    (gone,) = book.expired.values()
    assert (gone.use_id, gone.state, gone.ended_at) == ("u-1", UseState.EXPIRED, day(3))
