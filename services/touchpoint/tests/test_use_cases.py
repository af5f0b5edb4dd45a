"""Use cases on the real database: the first touchpoint wins, the cap holds, refusals silence, dispatch fills queues."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

import pytest
from chassis.errors import InvalidArgument, Refusal
from chassis.work import Transaction, Work
from touchpoint.domain.contact import Contact, ContactNotFound, Outcome
from touchpoint.domain.figures import ContactFigures
from touchpoint.domain.identity import CampaignId, ContactId, CustomerId, PartnerId, TouchpointCode
from touchpoint.domain.opportunity import OfferContent, Opportunity
from touchpoint.domain.policy import ContactPolicy
from touchpoint.domain.situation import SilenceReason
from touchpoint.domain.touchpoint import (
    Touchpoint,
    TouchpointClass,
    TouchpointIdFixed,
    TouchpointIdTaken,
    TouchpointNotFound,
    TouchpointNotOutbound,
)
from touchpoint.store import contacts, registry
from touchpoint.use_cases import opportunities
from touchpoint.use_cases.contacts import Presented, PresentOffers, foresee_silence, present_offers
from touchpoint.use_cases.deliveries import CreateEndpoint, create_endpoint
from touchpoint.use_cases.dispatch import Dispatched, DispatchOffers, dispatch_offers
from touchpoint.use_cases.figures import prove_contacts, read_contact_figures
from touchpoint.use_cases.outcomes import RecordOutcome, record_outcomes
from touchpoint.use_cases.registry import put_contact_policy, put_touchpoint

from services.touchpoint.tests.factories import (
    APP,
    DAY,
    HALL,
    HOTLINE,
    HOUR,
    PARTNER,
    SMS,
    T0,
    a_visit,
    an_opportunity,
)

T = TypeVar("T")
ALL = [TouchpointCode(f"TP{number:02}") for number in range(1, 20)]


async def arrive(work: Work, *arrived: Opportunity) -> int:
    return await work.run(lambda transaction: opportunities.record_opportunities(transaction, arrived))


async def present(work: Work, *visits: PresentOffers) -> list[Presented | Refusal]:
    return await work.run(lambda transaction: present_offers(transaction, visits))


async def shown(work: Work, visit: PresentOffers) -> Presented:
    (presented,) = await present(work, visit)
    assert isinstance(presented, Presented)
    return presented


async def dispatch(work: Work, touchpoint: str = SMS, at: datetime = T0, most: int = 1000) -> Dispatched:
    command = DispatchOffers(TouchpointCode(touchpoint), at, most)
    return await work.run(lambda transaction: dispatch_offers(transaction, command))


async def tell(work: Work, contact: Contact, outcome: Outcome, at: datetime) -> Contact | Refusal:
    command = RecordOutcome(contact.contact_id, contact.customer_id, outcome, at)
    return (await work.run(lambda transaction: record_outcomes(transaction, [command])))[0]


async def put_policy(work: Work, contacts_max: int, window_days: int = 30, cool_off_days: int = 30) -> None:
    policy = ContactPolicy(contacts_max, window_days, cool_off_days)
    await work.run(lambda transaction: put_contact_policy(transaction, policy))


async def figures(work: Work) -> ContactFigures:
    async with work.reading() as connection:
        return await read_contact_figures(connection)


async def refused(work: Work, act: Callable[[Transaction], Awaitable[object]], refusal: type[Refusal]) -> None:
    with pytest.raises(refusal):
        await work.run(act)


async def test_the_first_touchpoint_gets_the_offer_and_the_others_stay_silent(work: Work) -> None:
    await arrive(work, an_opportunity())
    first = await shown(work, a_visit(touchpoint=HALL))
    assert [(one.touchpoint, one.delivery_way) for one in first.contacts] == [(HALL, "agent_popup")]
    assert first.silence is None
    assert await shown(work, a_visit(touchpoint=APP)) == Presented((), SilenceReason.NOTHING_WAITS)


async def test_fifty_visits_at_once_make_one_contact(work: Work) -> None:
    await arrive(work, an_opportunity(touchpoints=tuple(ALL)))
    visits = [a_visit(touchpoint=ALL[number % len(ALL)]) for number in range(50)]
    answers = await asyncio.gather(*(shown(work, visit) for visit in visits))
    assert sorted(len(answer.contacts) for answer in answers) == [0] * 49 + [1]
    counted = await figures(work)
    assert (counted.taken, counted.open, counted.shown_twice) == (1, 0, 0)


async def test_concurrent_visits_do_not_pass_the_cap(work: Work) -> None:
    await put_policy(work, contacts_max=3)
    await arrive(work, *(an_opportunity(touchpoints=tuple(ALL)) for _ in range(30)))
    visits = [a_visit(touchpoint=ALL[number % len(ALL)], at=T0 + number * HOUR) for number in range(30)]
    random.Random(5).shuffle(visits)
    answers = await asyncio.gather(*(shown(work, visit) for visit in visits))
    assert sum(len(answer.contacts) for answer in answers) == 3
    assert {answer.silence for answer in answers} == {None, SilenceReason.CAP_REACHED}
    assert (await figures(work)).contacts_in_window_max == 3


async def test_visits_and_a_dispatch_at_once_do_not_pass_the_cap_or_show_twice(work: Work) -> None:
    await put_policy(work, contacts_max=2)
    customers = [f"customer-{number}" for number in range(10)]
    await arrive(work, *(an_opportunity(name, touchpoints=(APP, SMS)) for name in customers for _ in range(4)))
    visits = [a_visit(name, APP) for name in customers for _ in range(3)]
    await asyncio.gather(*(shown(work, visit) for visit in visits), *(dispatch(work) for _ in range(4)))
    counted = await figures(work)
    assert counted.contacts_in_window_max == 2
    assert counted.shown_twice == 0
    assert counted.taken == 20
    async with work.reading() as connection:
        assert all(check.holds for check in await prove_contacts(connection))


async def test_the_cap_holds_in_any_window_whatever_the_order_of_business_times(work: Work) -> None:
    await put_policy(work, contacts_max=3, window_days=2)
    await arrive(work, *(an_opportunity() for _ in range(60)))
    hours = list(range(0, 24 * 8, 3))
    random.Random(8).shuffle(hours)
    made: list[datetime] = []
    for hour in hours:
        at = T0 + hour * HOUR
        made += [contact.occurred_at for contact in (await shown(work, a_visit(at=at))).contacts]
    windows = [sum(start <= time < start + 2 * DAY for time in made) for start in made]
    assert max(windows) == 3
    assert (await figures(work)).contacts_in_window_max == 3


async def test_the_fullest_window_counts_half_open_windows(work: Work) -> None:
    await put_policy(work, contacts_max=10, window_days=2)
    await arrive(work, *(an_opportunity() for _ in range(6)))
    for at in (T0, T0, T0 + DAY, T0 + 2 * DAY - timedelta(microseconds=1), T0 + 2 * DAY):
        await shown(work, a_visit(at=at))
    assert (await figures(work)).contacts_in_window_max == 4


async def test_a_batch_sees_its_own_contacts(work: Work) -> None:
    await put_policy(work, contacts_max=2)
    await arrive(work, *(an_opportunity() for _ in range(5)), an_opportunity("bob"))
    answers = await present(
        work,
        a_visit(offers_max=1),
        a_visit("bob", HALL),
        a_visit(at=T0 + HOUR, offers_max=5),
        a_visit(at=T0 + 2 * HOUR),
        a_visit("bob"),
        a_visit("nobody"),
    )
    seen = [(len(one.contacts), one.silence) for one in answers if isinstance(one, Presented)]
    waits_not, capped = SilenceReason.NOTHING_WAITS, SilenceReason.CAP_REACHED
    assert seen == [(1, None), (1, None), (1, None), (0, capped), (0, waits_not), (0, waits_not)]


async def test_a_bad_visit_in_a_batch_is_refused_alone(work: Work) -> None:
    await arrive(work, an_opportunity())
    unknown, odd, good = await present(
        work,
        a_visit(touchpoint="TP99"),
        PresentOffers(CustomerId("ann"), APP, "carrier_pigeon", 1, T0),
        PresentOffers(CustomerId("ann"), APP, "banner", 1, T0),
    )
    assert isinstance(unknown, TouchpointNotFound)
    assert isinstance(odd, InvalidArgument)
    assert isinstance(good, Presented)
    assert good.contacts[0].delivery_way == "banner"


async def test_an_offer_is_not_shown_before_its_cause_nor_from_its_end_on(work: Work) -> None:
    await arrive(work, an_opportunity(expires_at=T0 + DAY))
    for at in (T0 - HOUR, T0 + DAY, T0 + 2 * DAY):
        assert (await shown(work, a_visit(at=at))).silence is SilenceReason.NOTHING_WAITS
    assert (await shown(work, a_visit(at=T0 + DAY - timedelta(microseconds=1)))).contacts


async def test_the_best_offers_are_shown_first(work: Work) -> None:
    def offer(value: int) -> OfferContent:
        return OfferContent(f"offer-{value}", "t", "b", value)

    later = T0 + HOUR
    ordered = [
        an_opportunity(priority=2, offer=offer(1), occurred_at=later),
        an_opportunity(priority=1, offer=offer(9), occurred_at=later),
        an_opportunity(priority=1, offer=offer(3)),
        an_opportunity(priority=1, offer=offer(3), occurred_at=later),
    ]
    await arrive(work, *ordered[::-1])
    taken = (await shown(work, a_visit(at=later, offers_max=5))).contacts
    assert [one.opportunity_id for one in taken] == [one.opportunity_id for one in ordered]


async def test_a_refusal_silences_its_campaign_for_the_time_of_the_policy(work: Work) -> None:
    await put_policy(work, contacts_max=15, cool_off_days=10)
    await arrive(work, *(an_opportunity() for _ in range(3)))
    (contact,) = (await shown(work, a_visit())).contacts
    await tell(work, contact, Outcome.REFUSED, T0 + DAY)
    assert (await shown(work, a_visit(at=T0 + DAY))).silence is SilenceReason.COOLING_OFF
    assert (await shown(work, a_visit(at=T0 + 11 * DAY - HOUR))).silence is SilenceReason.COOLING_OFF
    await arrive(work, an_opportunity(campaign_id=CampaignId("another")))
    assert [one.campaign_id for one in (await shown(work, a_visit(at=T0 + 2 * DAY))).contacts] == ["another"]
    assert (await shown(work, a_visit(at=T0 + 11 * DAY))).contacts


async def test_a_complaint_silences_as_a_refusal_does_and_a_later_acceptance_ends_it(work: Work) -> None:
    await arrive(work, *(an_opportunity() for _ in range(3)))
    (contact,) = (await shown(work, a_visit())).contacts
    await tell(work, contact, Outcome.COMPLAINED, T0 + HOUR)
    assert (await shown(work, a_visit(at=T0 + DAY))).silence is SilenceReason.COOLING_OFF
    await tell(work, contact, Outcome.ACCEPTED, T0 + 2 * HOUR)
    assert (await shown(work, a_visit(at=T0 + DAY))).contacts


async def test_outcomes_are_appended_and_the_last_one_counts(work: Work) -> None:
    await arrive(work, an_opportunity())
    (contact,) = (await shown(work, a_visit())).contacts
    told = await tell(work, contact, Outcome.IGNORED, T0 + DAY)
    assert isinstance(told, Contact)
    assert (told.outcome, told.outcome_at) == (Outcome.IGNORED, T0 + DAY)
    late = await tell(work, contact, Outcome.REFUSED, T0 + HOUR)
    assert isinstance(late, Contact)
    assert late.outcome is Outcome.IGNORED, "what happened earlier does not replace what happened later"
    corrected = await tell(work, contact, Outcome.ACCEPTED, T0 + DAY)
    assert isinstance(corrected, Contact)
    assert corrected.outcome is Outcome.ACCEPTED
    async with work.reading() as connection:
        stored = (await contacts.load_contacts(connection, [contact.contact_id]))[contact.contact_id]
    assert stored == corrected
    assert [(one.contacts, one.accepted, one.refused) for one in (await figures(work)).touchpoints] == [(1, 1, 0)]


async def test_an_outcome_of_somebody_elses_contact_is_answered_like_one_that_is_missing(work: Work) -> None:
    await arrive(work, an_opportunity())
    (contact,) = (await shown(work, a_visit())).contacts
    foreign = RecordOutcome(contact.contact_id, CustomerId("bob"), Outcome.ACCEPTED, T0)
    missing = RecordOutcome(ContactId("missing"), CustomerId("bob"), Outcome.ACCEPTED, T0)
    early = RecordOutcome(contact.contact_id, CustomerId("ann"), Outcome.ACCEPTED, T0 - HOUR)
    answers = await work.run(lambda transaction: record_outcomes(transaction, [foreign, missing, early]))
    assert [type(answer) for answer in answers] == [ContactNotFound, ContactNotFound, InvalidArgument]
    assert [(one.accepted, one.refused) for one in (await figures(work)).touchpoints] == [(0, 0)]


async def test_opportunities_expire_in_portions_and_a_second_run_finds_none(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opportunities, "EXPIRED_AT_ONCE_MAX", 4)
    ends = [T0 + hours * HOUR for hours in range(1, 13)]
    await arrive(work, *(an_opportunity(expires_at=end) for end in ends))

    async def expire() -> int:
        return await work.run(lambda transaction: opportunities.expire_opportunities(transaction, T0 + 10 * HOUR))

    assert [await expire() for _ in range(4)] == [4, 4, 2, 0]
    counted = await figures(work)
    assert (counted.expired, counted.open, counted.opportunities) == (10, 2, 12)
    assert (await shown(work, a_visit(at=T0, offers_max=5))).contacts != ()


async def test_unknown_touchpoints_are_dropped_and_an_opportunity_without_any_is_not_stored(work: Work) -> None:
    reachable = an_opportunity(touchpoints=(TouchpointCode("TP98"), APP, TouchpointCode("odd,code")))
    nowhere = an_opportunity(touchpoints=(TouchpointCode("TP99"),))
    placeless = an_opportunity(touchpoints=())
    assert await arrive(work, reachable, nowhere, placeless) == 1
    (contact,) = (await shown(work, a_visit(offers_max=5))).contacts
    assert contact.opportunity_id == reachable.opportunity_id


async def test_a_decision_brought_twice_is_one_opportunity_even_after_it_was_taken(work: Work) -> None:
    opportunity = an_opportunity()
    assert await arrive(work, opportunity, opportunity) == 1
    await shown(work, a_visit())
    assert await arrive(work, opportunity) == 0
    assert (await shown(work, a_visit())).silence is SilenceReason.NOTHING_WAITS


async def test_a_visit_takes_what_campaign_decided_for_it(work: Work) -> None:
    decided = an_opportunity()
    visit = PresentOffers(CustomerId("ann"), APP, "", 1, T0, (decided,))
    (contact,) = (await shown(work, visit)).contacts
    assert contact.opportunity_id == decided.opportunity_id
    assert await arrive(work, decided) == 0, "its event comes later and changes nothing"


async def test_silence_is_foreseen_without_taking_anything(work: Work) -> None:
    async def foresee(at: datetime = T0) -> SilenceReason | None:
        async with work.reading() as connection:
            return await foresee_silence(connection, a_visit(at=at))

    await put_policy(work, contacts_max=1)
    assert await foresee() is SilenceReason.NOTHING_WAITS
    await arrive(work, an_opportunity(), an_opportunity())
    assert [await foresee(), await foresee()] == [None, None]
    await shown(work, a_visit())
    assert await foresee() is SilenceReason.CAP_REACHED


async def test_dispatch_takes_the_best_within_cap_and_limit_and_counts_what_it_left(work: Work) -> None:
    await put_policy(work, contacts_max=2)
    await arrive(
        work,
        *(an_opportunity("ann", touchpoints=(SMS,), priority=9) for _ in range(5)),
        *(an_opportunity(name, touchpoints=(SMS, APP)) for name in ("bob", "cid", "dan")),
        an_opportunity("eve", touchpoints=(APP,)),
        an_opportunity("fay", touchpoints=(SMS,), occurred_at=T0 + DAY),
        an_opportunity("gus", touchpoints=(SMS,), expires_at=T0 + HOUR),
    )
    assert await dispatch(work, at=T0 + HOUR, most=4) == Dispatched(contacts=4, deliveries=0, capped=3)
    assert await dispatch(work, at=T0 + HOUR) == Dispatched(contacts=1, deliveries=0, capped=3)
    async with work.reading() as connection:
        made = await contacts.list_contacts(connection, None, size=50, after=None)
    assert Counter(one.customer_id for one in made) == {"ann": 2, "bob": 1, "cid": 1, "dan": 1}
    assert {(one.touchpoint, one.delivery_way, one.occurred_at) for one in made} == {(SMS, "sms", T0 + HOUR)}


async def test_dispatch_leaves_a_resting_campaign_alone(work: Work) -> None:
    await arrive(work, *(an_opportunity(touchpoints=(APP, SMS)) for _ in range(2)))
    (contact,) = (await shown(work, a_visit())).contacts
    await tell(work, contact, Outcome.REFUSED, T0)
    assert await dispatch(work) == Dispatched()


async def test_dispatch_goes_on_past_a_page_of_customers_who_are_capped(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("touchpoint.use_cases.dispatch._PAGE", 3)
    await put_policy(work, contacts_max=1)
    await arrive(work, *(an_opportunity("ann", touchpoints=(SMS,), priority=5) for _ in range(8)))
    await arrive(work, *(an_opportunity(f"c{number}", touchpoints=(SMS,)) for number in range(5)))
    assert await dispatch(work) == Dispatched(contacts=6, deliveries=0, capped=7)


async def test_dispatch_queues_a_delivery_for_every_endpoint_that_listens(work: Work) -> None:
    async def register(*touchpoints: str) -> None:
        codes = tuple(TouchpointCode(code) for code in touchpoints)
        command = CreateEndpoint(PartnerId("partner"), "https://partner.example/", codes)
        await work.run(lambda transaction: create_endpoint(transaction, command))

    await register(PARTNER)
    await register(PARTNER, SMS)
    await register(SMS)
    await arrive(work, *(an_opportunity(touchpoints=(PARTNER,)) for _ in range(3)))
    assert await dispatch(work, PARTNER) == Dispatched(contacts=3, deliveries=6, capped=0)


async def test_dispatch_refuses_a_touchpoint_that_reaches_nobody(work: Work) -> None:
    for code, refusal in ((HOTLINE, TouchpointNotOutbound), (TouchpointCode("TP99"), TouchpointNotFound)):
        command = DispatchOffers(code, T0, 10)
        await refused(work, lambda transaction, command=command: dispatch_offers(transaction, command), refusal)  # type: ignore[misc]


async def test_an_endpoint_listens_only_to_touchpoints_that_send(work: Work) -> None:
    def creating(codes: Sequence[str]) -> Callable[[Transaction], Awaitable[object]]:
        touchpoints = tuple(TouchpointCode(code) for code in codes)
        command = CreateEndpoint(PartnerId("partner"), "https://partner.example/", touchpoints)
        return lambda transaction: create_endpoint(transaction, command)

    await refused(work, creating([HOTLINE]), TouchpointNotOutbound)
    await refused(work, creating([SMS, "TP99"]), TouchpointNotFound)
    await refused(work, creating([]), InvalidArgument)
    await refused(work, creating([SMS, SMS]), InvalidArgument)


async def test_an_operator_adds_and_changes_touchpoints_but_never_an_identifier(work: Work) -> None:
    def watch(code: str = "TP50", touchpoint_id: str = "smart_watch", name: str = "Smart watch") -> Touchpoint:
        ways = ("popup", "buzz")
        return Touchpoint(
            TouchpointCode(code), touchpoint_id, TouchpointClass.SCENE, name, "手表", True, False, ways, "buzz"
        )

    await work.run(lambda transaction: put_touchpoint(transaction, watch()))
    await work.run(lambda transaction: put_touchpoint(transaction, watch(name="Watch")))
    await refused(work, lambda transaction: put_touchpoint(transaction, watch("TP51")), TouchpointIdTaken)
    await refused(work, lambda transaction: put_touchpoint(transaction, watch("TP50", "clock")), TouchpointIdFixed)
    async with work.reading() as connection:
        listed = await registry.list_touchpoints(connection, 500, None)
    assert [one.code for one in listed] == [*ALL, "TP50"]
    assert listed[-1] == watch(name="Watch")
