"""Activities on the real database: seats, waiting list, fees, checking in and not coming."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from chassis.errors import Refusal
from chassis.paging import Page
from chassis.work import Transaction, Work
from ledger import InsufficientBalance
from member.domain.activity import (
    ActivityId,
    ActivityNotFound,
    ActivityNotPublished,
    ActivityOver,
    ActivityShapeFixed,
    ActivityState,
    SeatsTaken,
    TierTerms,
)
from member.domain.audience import Audience, NotForThisTier, TierNotInProgram
from member.domain.customer import CustomerId, PersonId
from member.domain.membership import Holder, MemberNotFound
from member.domain.program import GENERAL, ProgramId, ProgramNotFound, TierId
from member.domain.reward import PointsReward
from member.domain.roster import (
    ActivityBegun,
    ActivityFull,
    AlreadyRegistered,
    Barred,
    CheckInNotOpen,
    LeavingReason,
    NoSeat,
    PartyTooLarge,
    Registration,
    RegistrationEnded,
    RegistrationNotFound,
    RegistrationNotOpen,
    RegistrationState,
    WrongCheckInCode,
)
from member.use_cases import activities, registrations
from member.use_cases.settling import REGISTRATIONS_PER_ROUND, Settled
from sqlalchemy import text

from services.member.tests.activity_steps import (
    ENDS,
    OPENS,
    STARTS,
    activity,
    call_off,
    check_in,
    leave,
    missing,
    publish,
    published,
    put,
    register,
    settle,
    states,
)
from services.member.tests.customers import merge, merging
from services.member.tests.factories import RECORDED_AT, award, awarded, day, enrolled, rows, scalar, told
from services.member.tests.steps import balance, evaluate, prove

MOMENT = timedelta(microseconds=1)
GOLD = frozenset({TierId("gold")})


async def with_tiers(work: Work, **points: int) -> None:
    """Members (an underscore stands for the hyphen of their ids) with so many points, their tiers judged on day 9."""
    ids = {name.replace("_", "-"): number for name, number in points.items()}
    await enrolled(work, *ids)
    given = [award(number, at=day(1), customer_id=each) for each, number in ids.items() if number]
    if given:
        await awarded(work, *given)
    await evaluate(work, 9)


async def seats(work: Work) -> tuple[int, int]:
    """Seats taken as the activity knows them, and as its registrations take them."""
    ((known, taken),) = await rows(
        work,
        "SELECT seats_taken, (SELECT coalesce(sum(party_size), 0) FROM activity_registrations"
        " WHERE state IN ('seated', 'attended')) FROM activities",
    )
    return known, taken


async def test_two_hundred_members_want_the_last_seat(work: Work) -> None:
    ids = [f"c-{number:03}" for number in range(200)]
    await enrolled(work, *ids)
    await published(work, activity(capacity=1, waiting_list_max=150))
    outcomes = await asyncio.gather(
        *(register(work, each, at=OPENS + timedelta(seconds=number)) for number, each in enumerate(ids)),
        return_exceptions=True,
    )
    done = [outcome for outcome in outcomes if isinstance(outcome, Registration)]
    assert [each.state for each in done].count(RegistrationState.SEATED) == 1
    assert len(done) == 151
    assert {type(outcome) for outcome in outcomes if not isinstance(outcome, Registration)} == {ActivityFull}
    assert await seats(work) == (1, 1)
    async with work.reading() as connection:
        _, waiting = await activities.get_activity(connection, ActivityId("final"))
    assert waiting == 150
    await prove(work)


async def test_places_on_the_waiting_list_go_by_tier_and_then_by_time(work: Work) -> None:
    await with_tiers(work, c_1=0, c_2=0, c_3=0, c_4=1000, c_5=300)
    await published(work, activity(capacity=1))
    first = await register(work, "c-1")
    later, sooner = await register(work, "c-3", at=day(12)), await register(work, "c-2", at=day(11))
    assert (later.waiting_place, sooner.waiting_place) == (1, 1)
    assert (await register(work, "c-4", at=day(13))).waiting_place == 1
    assert (await register(work, "c-5", at=day(13))).waiting_place == 2
    assert (await listed(work, "c-3"))[0].waiting_place == 4
    seated = ["c-1"]
    gone = first
    for _ in range(4):
        await leave(work, gone, at=day(14))
        ((customer_id, registration_id),) = await rows(
            work,
            "SELECT customer_id, registration_id FROM activity_registrations JOIN members USING (member_id)"
            " WHERE state = 'seated'",
        )
        seated.append(customer_id)
        (gone,) = [each for each in await listed(work, customer_id) if each.registration_id == registration_id]
    assert seated == ["c-1", "c-4", "c-5", "c-2", "c-3"]
    assert await told(work, "ActivitySeatGained") == 4


async def test_members_come_and_go_at_once_and_no_seat_is_given_twice(work: Work) -> None:
    ids = [f"c-{number:02}" for number in range(40)]
    await enrolled(work, *ids)
    await published(work, activity(capacity=7, party_size_max=3, waiting_list_max=100))

    async def come_and_go(number: int) -> None:
        registration = await register(work, ids[number], party_size=1 + number % 3)
        if number % 4:
            await leave(work, registration)

    await asyncio.gather(*(come_and_go(number) for number in range(40)))
    known, taken = await seats(work)
    assert known == taken <= 7
    still = await states(work)
    assert sorted(still.values()).count("left") == 30
    assert [
        number for number in range(0, 40, 4) if still[ids[number]] == "waiting" and 1 + number % 3 <= 7 - taken
    ] == []
    await prove(work)


async def test_a_higher_tier_registers_earlier(work: Work) -> None:
    await with_tiers(work, c_1=0, c_2=1000)
    await published(work, activity(tier_terms=(TierTerms(TierId("gold"), day(8)),)))
    with pytest.raises(RegistrationNotOpen):
        await register(work, "c-1", at=OPENS - MOMENT)
    with pytest.raises(RegistrationNotOpen):
        await register(work, "c-2", at=day(8) - MOMENT)
    assert (await register(work, "c-2", at=day(8))).state is RegistrationState.SEATED
    assert (await register(work, "c-1", at=OPENS)).state is RegistrationState.SEATED


async def test_seats_kept_for_a_tier_are_released_at_their_instant(work: Work) -> None:
    await with_tiers(work, c_1=0, c_2=0, c_3=1000)
    await published(work, activity(tier_terms=(TierTerms(TierId("gold"), None, 1, day(15)),)))
    assert (await register(work, "c-1")).state is RegistrationState.SEATED
    assert (await register(work, "c-2", at=day(15) - MOMENT)).state is RegistrationState.WAITING
    assert await settle(work, day(15) - MOMENT) == Settled()
    assert await settle(work, day(17)) == Settled(activities=1, seated=1)
    assert await settle(work, day(17)) == Settled()
    assert (await listed(work, "c-2"))[0].changed_at == day(15)
    assert (await register(work, "c-3", at=day(17))).state is RegistrationState.WAITING


async def test_who_waits_goes_before_who_comes_when_seats_are_released(work: Work) -> None:
    await with_tiers(work, c_1=0, c_2=0)
    await published(work, activity(capacity=1, tier_terms=(TierTerms(TierId("gold"), None, 1, day(15)),)))
    assert (await register(work, "c-1")).state is RegistrationState.WAITING
    assert (await register(work, "c-2", at=day(15))).state is RegistrationState.WAITING
    assert await states(work) == {"c-1": "seated", "c-2": "waiting"}


async def test_more_seats_go_to_who_waits_and_fewer_than_taken_are_refused(work: Work) -> None:
    await enrolled(work, "c-1", "c-2", "c-3", "c-4")
    await published(work, activity(capacity=1))
    for number in range(1, 5):
        await register(work, f"c-{number}")
    changed = await put(work, activity(capacity=3), at=day(12))
    assert (changed.seats_taken, changed.revision, changed.state) == (3, 3, ActivityState.PUBLISHED)
    assert await states(work) == {"c-1": "seated", "c-2": "seated", "c-3": "seated", "c-4": "waiting"}
    with pytest.raises(SeatsTaken):
        await put(work, activity(capacity=2), at=day(12))
    assert await put(work, activity(capacity=3), at=day(13)) == changed


async def test_a_fee_is_held_while_waiting_too_and_comes_back_in_time_only(work: Work) -> None:
    await enrolled(work, "c-1", "c-2", "c-3")
    await awarded(work, *(award(100, at=day(1), customer_id=f"c-{number}") for number in (1, 2)))
    await published(work, activity(capacity=1, fee_points=60, free_leaving_until=day(15)))
    seated, waiting = await register(work, "c-1"), await register(work, "c-2")
    assert await balance(work, CustomerId("c-2")) == (100, 60)
    with pytest.raises(InsufficientBalance):
        await register(work, "c-3")
    assert "c-3" not in await states(work)
    assert (await leave(work, waiting, at=day(16))).fee_spent is False
    again = await register(work, "c-2", at=day(16))
    assert (await leave(work, seated, at=day(15))).fee_spent is True
    assert await balance(work) == (40, 0)
    assert await balance(work, CustomerId("c-2")) == (100, 60)
    assert again.state is RegistrationState.WAITING
    assert (await states(work))["c-2"] == "seated"
    assert (await leave(work, again, at=day(16))).fee_spent is True
    await prove(work)


async def test_leaving_a_moment_before_the_limit_is_free(work: Work) -> None:
    await enrolled(work, "c-1")
    await awarded(work, award(100, at=day(1)))
    await published(work, activity(fee_points=60, free_leaving_until=day(15)))
    assert (await leave(work, await register(work), at=day(15) - MOMENT)).fee_spent is False
    assert await balance(work) == (100, 0)


async def test_coming_is_rewarded_once_and_spends_the_fee(work: Work) -> None:
    await enrolled(work, "c-1")
    await awarded(work, award(100, at=day(1)))
    await published(work, activity(fee_points=60, reward=PointsReward(25)))
    registration = await register(work)
    outcomes = await asyncio.gather(*(check_in(work, registration) for _ in range(8)))
    assert [outcome.already_done for outcome in outcomes].count(False) == 1
    assert await balance(work) == (100 - 60 + 25, 0)
    assert (await told(work, "ActivityAttended"), await told(work, "PointsRedeemed")) == (1, 1)
    with pytest.raises(RegistrationEnded):
        await leave(work, registration)
    await prove(work)


async def test_checking_in_has_its_time_and_its_code(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    begins = RECORDED_AT
    await published(
        work,
        activity(
            capacity=1,
            starts_at=begins,
            ends_at=begins + timedelta(hours=3),
            registration_closes_at=begins,
            free_leaving_until=begins,
            check_in_minutes=90,
        ),
    )
    registration, waiting = await register(work, "c-1"), await register(work, "c-2")
    async with work.reading() as connection:
        code = await activities.get_check_in_code(connection, ActivityId("final"))
    assert len(code) == 16
    for at in (begins - timedelta(minutes=90) - MOMENT, begins + timedelta(hours=3)):
        with pytest.raises(CheckInNotOpen):
            await check_in(work, registration, at=at)
    for wrong in ({"by_member": True}, {"by_member": True, "check_in_code": "0" * 16}, {"check_in_code": "é"}):
        with pytest.raises(WrongCheckInCode):
            await check_in(work, registration, at=begins, **wrong)
    with pytest.raises(NoSeat):
        await check_in(work, waiting, at=begins)
    with pytest.raises(RegistrationNotFound):
        await check_in(work, registration, at=begins, customer_id=CustomerId("c-2"))
    assert not (await check_in(work, registration, at=begins, by_member=True, check_in_code=code)).already_done


async def test_who_does_not_come_is_marked_pays_and_is_barred_for_a_while(work: Work) -> None:
    await enrolled(work, "c-1", "c-2", "c-3")
    await awarded(work, *(award(100, at=day(1), customer_id=f"c-{number}") for number in (1, 2, 3)))
    await published(work, activity(capacity=2, fee_points=60, barred_days=30))
    came, absent, waiting = [await register(work, f"c-{number}") for number in (1, 2, 3)]
    await check_in(work, came)
    assert await settle(work, ENDS - MOMENT) == Settled()
    assert await settle(work, ENDS) == Settled(activities=3, missed=1, ended=1)
    assert await settle(work, ENDS) == Settled()
    assert await states(work) == {"c-1": "attended", "c-2": "missed", "c-3": "left"}
    assert [await balance(work, CustomerId(f"c-{number}")) for number in (1, 2, 3)] == [(40, 0), (40, 0), (100, 0)]
    assert (await listed(work, "c-3"))[0].leaving_reason is LeavingReason.WAITED_IN_VAIN
    assert await scalar(work, "SELECT state FROM activities") == "closed"
    assert await seats(work) == (1, 1)
    for ended in (absent, waiting):
        with pytest.raises(RegistrationEnded):
            await leave(work, ended, at=ENDS)
    until = ENDS + timedelta(days=30)
    begins = until + timedelta(days=9)
    await published(
        work,
        activity(
            "next",
            starts_at=begins,
            ends_at=begins + timedelta(hours=1),
            registration_opens_at=day(1),
            registration_closes_at=begins,
        ),
    )
    with pytest.raises(Barred):
        await register(work, "c-2", at=until - MOMENT, activity_id=ActivityId("next"))
    for customer_id, at in (("c-1", until - MOMENT), ("c-2", until)):
        await register(work, customer_id, at=at, activity_id=ActivityId("next"))
    await prove(work)


async def test_many_who_do_not_come_take_several_rounds(work: Work) -> None:
    ids = [f"c-{number}" for number in range(REGISTRATIONS_PER_ROUND + 10)]
    await enrolled(work, *ids)
    await published(work, activity(capacity=REGISTRATIONS_PER_ROUND + 5))
    await everybody_registered(work)
    assert await settle(work, ENDS) == Settled(activities=4, missed=len(ids) - 5, ended=5)
    assert await told(work, "ActivityMissed") == len(ids) - 5


async def test_what_is_called_off_ends_for_everybody_and_costs_nothing(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    await awarded(work, *(award(100, at=day(1), customer_id=f"c-{number}") for number in (1, 2)))
    await published(work, activity(capacity=1, fee_points=60))
    registration = await register(work, "c-1")
    await register(work, "c-2")
    ended = await call_off(work, at=day(19))
    assert (ended.ended, ended.activity.state, ended.activity.seats_taken) == (2, ActivityState.CANCELLED, 0)
    assert [await balance(work, CustomerId(each)) for each in ("c-1", "c-2")] == [(100, 0), (100, 0)]
    assert (await call_off(work)).ended == 0
    assert await settle(work, ENDS) == Settled()
    assert (await told(work, "ActivityLeft"), await told(work, "ActivityChanged")) == (2, 2)
    with pytest.raises(RegistrationEnded):
        await check_in(work, registration)
    for attempt in (register(work), publish(work), put(work, activity(title="Anew"))):
        with pytest.raises(ActivityOver):
            await attempt
    await prove(work)


async def test_what_a_registration_is_refused_for(work: Work) -> None:
    await with_tiers(work, c_1=0, c_2=1000)
    await published(work, activity(capacity=1, waiting_list_max=0, party_size_max=2))
    await published(work, activity("golden", audience=Audience(GENERAL, GOLD)))
    await put(work, activity("draft"))
    registration = await register(work)

    async def refusal(customer_id: str = "c-2", **changes: Any) -> type[Refusal]:
        with pytest.raises(Refusal) as refused:
            await register(work, customer_id, **changes)
        return type(refused.value)

    assert await refusal("c-1") is AlreadyRegistered
    assert await refusal() is ActivityFull
    assert await refusal(party_size=3) is PartyTooLarge
    assert await refusal(at=STARTS) is RegistrationNotOpen
    assert await refusal("c-9") is MemberNotFound
    assert await refusal(person_id=PersonId("p-1")) is MemberNotFound
    assert await refusal("c-1", activity_id=ActivityId("golden")) is NotForThisTier
    assert await refusal(activity_id=ActivityId("draft")) is ActivityNotPublished
    assert await refusal(activity_id=ActivityId("none")) is ActivityNotFound
    with pytest.raises(ActivityBegun):
        await leave(work, registration, at=STARTS)
    with pytest.raises(RegistrationNotFound):
        await leave(work, registration, registration_id=missing())
    await leave(work, registration)
    assert (await register(work)).state is RegistrationState.SEATED


async def test_an_activity_is_put_in_versions_and_keeps_its_shape(work: Work) -> None:
    draft = await put(work, activity(state=ActivityState.PUBLISHED, seats_taken=1, revision=7))
    assert draft == activity(revision=1)
    assert (await put(work, activity(fee_points=5), by="another")).revision == 2
    assert (await publish(work)).revision == 3
    assert (await publish(work)).revision == 3
    with pytest.raises(ActivityShapeFixed):
        await put(work, activity(fee_points=6))
    found = await rows(work, "SELECT revision, state, put_by FROM activity_versions ORDER BY revision")
    assert found == [(1, "draft", "operator"), (2, "draft", "another"), (3, "published", "operator")]
    with pytest.raises(ProgramNotFound):
        await put(work, activity("other", audience=Audience(ProgramId("none"))))
    with pytest.raises(TierNotInProgram):
        await put(work, activity("other", tier_terms=(TierTerms(TierId("platinum")),)))


async def test_lists_come_in_pages(work: Work) -> None:
    await enrolled(work, "c-1", "c-2", "c-3")
    await published(work, activity(capacity=2))
    await put(work, activity("draft", starts_at=STARTS + MOMENT))
    for number in (3, 1, 2):
        await register(work, f"c-{number}")
    async with work.reading() as connection:
        first = await registrations.list_attendance(connection, ActivityId("final"), state=None, page=Page(1, None))
        rest = await registrations.list_attendance(
            connection, ActivityId("final"), state=None, page=Page(5, str(first[0].sequence))
        )
        waiting = await registrations.list_attendance(
            connection, ActivityId("final"), state=RegistrationState.WAITING, page=Page(5, None)
        )
        drafts = await activities.list_activities(
            connection, Page(5, None), program_id=GENERAL, state=ActivityState.DRAFT, starts_after=STARTS
        )
        none = await activities.list_activities(
            connection, Page(5, "final"), program_id=None, state=None, starts_after=None
        )
        with pytest.raises(ActivityNotFound):
            await registrations.list_attendance(connection, ActivityId("none"), state=None, page=Page(5, None))
    assert [each.registration.holder.customer_id for each in (*first[:1], *rest)] == ["c-3", "c-1", "c-2"]
    assert [each.registration.holder.customer_id for each in waiting] == ["c-2"]
    assert ([each.activity_id for each in drafts], none) == (["draft"], [])


async def listed(work: Work, customer_id: str) -> list[Registration]:
    """A member's registrations, newest first."""
    async with work.reading() as connection:
        found = await registrations.list_registrations(
            connection, Holder(CustomerId(customer_id), GENERAL), Page(50, None)
        )
    return [each.registration for each in found]


async def everybody_registered(work: Work) -> None:
    """Everybody registered by one statement: all but five have seats, and these wait."""

    async def act(transaction: Transaction) -> None:
        await transaction.connection.execute(
            text("""
                INSERT INTO activity_registrations (registration_id, activity_id, member_id, tier_id, tier_rank,
                    party_size, state, fee_points, hold_id, registered_at, changed_at, recorded_at)
                SELECT member_id, 'final', member_id, tier_id, 0, 1,
                    CASE WHEN row_number() OVER (ORDER BY member_id) <= :seats THEN 'seated' ELSE 'waiting' END,
                    0, '', :at, :at, :at
                FROM members
            """),
            {"seats": REGISTRATIONS_PER_ROUND + 5, "at": OPENS},
        )
        await transaction.connection.execute(
            text("UPDATE activities SET seats_taken = :seats"), {"seats": REGISTRATIONS_PER_ROUND + 5}
        )

    await work.run(act)


async def test_who_was_merged_away_comes_as_the_one_that_stays(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    for name in ("final", "race"):
        await published(work, activity(name, capacity=4))
    theirs = await register(work, "c-2")
    for customer_id in ("c-1", "c-2"):
        await register(work, customer_id, activity_id=ActivityId("race"))
    await merge(work, merging(p_1="p-1", on=12))
    held = "SELECT activity_id, customer_id FROM activity_registrations JOIN members USING (member_id) ORDER BY 1, 2"
    assert await rows(work, held) == [("final", "c-1"), ("race", "c-1"), ("race", "c-2")]
    with pytest.raises(AlreadyRegistered):
        await register(work)
    with pytest.raises(RegistrationNotFound):
        await check_in(work, theirs)
    ours = replace(theirs, holder=theirs.holder._replace(customer_id=CustomerId("c-1")))
    assert (await check_in(work, ours)).registration.state is RegistrationState.ATTENDED
    await prove(work)
