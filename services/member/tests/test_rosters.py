"""Seats and waiting list against what must hold whatever happens in whatever order."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from chassis.errors import InvalidArgument
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from member.domain.activity import Activity, ActivityState, TierTerms, check_activity
from member.domain.audience import Audience
from member.domain.customer import CustomerId
from member.domain.membership import Holder, MemberId
from member.domain.program import GENERAL, TierId
from member.domain.roster import ActivityFull, Registration, RegistrationId, RegistrationState, Roster

from services.member.tests.activity_steps import ENDS, OPENS, STARTS, activity
from services.member.tests.factories import day

RANKS = {TierId("standard"): 0, TierId("silver"): 1, TierId("gold"): 2}
tiers = st.sampled_from(sorted(RANKS))


def registration(number: int, tier_id: str, party_size: int, at: datetime) -> Registration:
    """A registration that waits."""
    return Registration(
        RegistrationId(f"r-{number}"),
        activity().activity_id,
        MemberId(f"m-{number}"),
        Holder(CustomerId(f"c-{number}"), GENERAL),
        TierId(tier_id),
        RANKS[TierId(tier_id)],
        party_size,
        RegistrationState.WAITING,
        0,
        "",
        at,
        at,
    )


class Seating(RuleBasedStateMachine):
    """Members come, leave, and time passes; seats and reservations change. Nothing here is told how seats are given:
    only what must be true after every step is looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.at = OPENS
        self.number = 0
        self.known: dict[RegistrationId, Registration] = {}
        self.roster = Roster(activity(), {})

    @initialize(
        capacity=st.integers(1, 12), gold=st.integers(0, 4), silver=st.integers(0, 4), waiting=st.integers(0, 8)
    )
    def begin(self, capacity: int, gold: int, silver: int, waiting: int) -> None:
        """An activity with some seats kept for two tiers, until different instants."""
        gold = min(gold, capacity)
        silver = min(silver, capacity - gold)
        terms = (
            TierTerms(TierId("gold"), None, gold, day(13)),
            TierTerms(TierId("silver"), None, silver, day(16)),
        )
        wanted = activity(capacity=capacity, waiting_list_max=waiting, tier_terms=terms)
        self.roster = Roster(wanted, {})

    @rule(tier=tiers, party_size=st.integers(1, 4))
    def come(self, tier: str, party_size: int) -> None:
        """A member registers: after who waits has moved up, as the use case does it."""
        self.settle()
        new = registration(self.number, tier, party_size, self.at)
        self.number += 1
        fits = party_size <= self.free_for(tier)
        try:
            state = self.roster.place(TierId(tier), party_size, at=self.at)
        except ActivityFull:
            assert not fits
            assert len(self.roster.waiting) == self.roster.activity.waiting_list_max
            return
        assert (state is RegistrationState.SEATED) == fits
        self.known[new.registration_id] = replace(new, state=state)
        if state is RegistrationState.WAITING:
            self.roster.waiting.append(self.known[new.registration_id])

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        """A member leaves."""
        gone = self.known.pop(data.draw(st.sampled_from(sorted(self.known))))
        self.roster.leave(gone)
        self.settle()

    @rule(hours=st.integers(1, 72))
    def pass_time(self, hours: int) -> None:
        """Time passes, and the clock does its work."""
        self.at = min(self.at + timedelta(hours=hours), STARTS)
        self.settle()

    @rule(more=st.integers(1, 5))
    def add_seats(self, more: int) -> None:
        """The operator finds more chairs."""
        changed = replace(self.roster.activity, capacity=self.roster.activity.capacity + more)
        self.roster = Roster(changed, self.roster.seats, self.roster.waiting)
        self.settle()

    @invariant()
    def no_more_seats_are_taken_than_there_are(self) -> None:
        """And those that are taken are those of who has them."""
        taken = sum(each.party_size for each in self.known.values() if each.state is RegistrationState.SEATED)
        assert taken == self.roster.seats_taken <= self.roster.activity.capacity

    @invariant()
    def nobody_waits_who_would_fit(self) -> None:
        """A seat never stays empty beside somebody who may have it."""
        waiting = [each for each in self.known.values() if each.state is RegistrationState.WAITING]
        assert {each.registration_id for each in self.roster.waiting} == {each.registration_id for each in waiting}
        assert all(each.party_size > self.free_for(each.tier_id) for each in waiting)

    def settle(self) -> None:
        """Who waits moves up; nobody is passed over by one behind who takes no more seats and is of the same tier."""
        before = self.roster.in_order()
        for seated in self.roster.move_up(self.at):
            ahead = before[: [each.registration_id for each in before].index(seated.registration_id)]
            still = [each for each in ahead if each in self.roster.waiting and each.tier_id == seated.tier_id]
            assert all(each.party_size > seated.party_size for each in still)
            self.known[seated.registration_id] = replace(seated, state=RegistrationState.SEATED)

    def free_for(self, tier: str) -> int:
        """Seats for a tier, said in other words: what is left when every other tier that still keeps seats has taken
        all of them."""
        taken = dict.fromkeys(RANKS, 0)
        for each in self.known.values():
            if each.state is RegistrationState.SEATED:
                taken[each.tier_id] += each.party_size
        for terms in self.roster.activity.tier_terms:
            if terms.tier_id != tier and terms.reserved_until and self.at < terms.reserved_until:
                taken[terms.tier_id] = max(taken[terms.tier_id], terms.reserved_seats)
        return self.roster.activity.capacity - sum(taken.values())


Seating.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestSeating = Seating.TestCase


@given(parties=st.lists(st.tuples(tiers, st.integers(1, 3)), max_size=12), capacity=st.integers(1, 12))
def test_the_higher_tier_comes_first_and_within_it_who_came_first(
    parties: list[tuple[str, int]], capacity: int
) -> None:
    waiting = [registration(number, tier, 1, OPENS) for number, (tier, _) in enumerate(parties)]
    roster = Roster(activity(capacity=capacity), {}, list(waiting))
    seated = roster.move_up(OPENS)
    assert seated == sorted(waiting, key=lambda each: (-RANKS[each.tier_id], int(each.registration_id[2:])))[:capacity]


def test_a_party_that_does_not_fit_is_passed_over() -> None:
    waiting = [registration(0, "standard", 3, OPENS), registration(1, "standard", 2, OPENS)]
    roster = Roster(activity(capacity=2), {}, waiting)
    assert [each.registration_id for each in roster.move_up(OPENS)] == ["r-1"]
    assert [each.registration_id for each in roster.waiting] == ["r-0"]


def test_seats_are_kept_until_their_instant_and_not_at_it() -> None:
    terms = (TierTerms(TierId("gold"), None, 2, day(13)),)
    roster = Roster(activity(capacity=2, tier_terms=terms), {})
    moment = timedelta(microseconds=1)
    assert roster.free_for(TierId("standard"), day(13) - moment) == 0
    assert roster.free_for(TierId("gold"), day(13) - moment) == 2
    assert roster.free_for(TierId("standard"), day(13)) == 2


def test_the_clock_has_something_to_do_when_seats_are_released_and_at_the_end() -> None:
    terms = (TierTerms(TierId("gold"), None, 1, day(13)), TierTerms(TierId("silver"), None, 1, day(16)))
    wanted = activity(tier_terms=terms, state=ActivityState.PUBLISHED)
    assert [wanted.next_due_at(at) for at in (day(12), day(13), day(16), day(19))] == [day(13), day(16), ENDS, ENDS]
    assert replace(wanted, state=ActivityState.DRAFT).next_due_at(day(12)) is None
    assert replace(wanted, state=ActivityState.CLOSED).next_due_at(day(12)) is None


@pytest.mark.parametrize(
    ("changed", "fields"),
    [
        (activity(title=" "), ["activity.title"]),
        (activity(place="a\x00b"), ["activity.place"]),
        (activity(capacity=0), ["activity.capacity"]),
        (activity(ends_at=STARTS), ["activity.ends_at"]),
        (activity(registration_opens_at=STARTS), ["activity.registration_opens_at"]),
        (activity(registration_closes_at=ENDS), ["activity.registration_closes_at"]),
        (activity(free_leaving_until=ENDS), ["activity.free_leaving_until"]),
        (
            activity(tier_terms=(TierTerms(TierId("gold"), None, 1),)),
            ["activity.tier_terms[0].reserved_until"],
        ),
        (
            activity(tier_terms=(TierTerms(TierId("gold"), None, 0, day(12)),)),
            ["activity.tier_terms[0].reserved_until"],
        ),
        (
            activity(tier_terms=(TierTerms(TierId("gold"), day(11)), TierTerms(TierId("gold")))),
            ["activity.tier_terms[0].registration_opens_at", "activity.tier_terms[1].tier_id"],
        ),
        (activity(tier_terms=(TierTerms(TierId("gold"), None, 3, day(12)),)), ["activity.tier_terms"]),
        (
            activity(audience=Audience(GENERAL, frozenset(TierId(f"t-{number}") for number in range(21)))),
            ["activity.tier_ids"],
        ),
    ],
)
def test_an_activity_that_could_not_be_is_malformed(changed: Activity, fields: list[str]) -> None:
    with pytest.raises(InvalidArgument) as refused:
        check_activity(changed)
    assert [violation.field for violation in refused.value.violations] == fields
