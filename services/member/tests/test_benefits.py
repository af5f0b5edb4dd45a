"""Benefits on the real database: the row that answers, quotas under races, reservations that end, grants."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from chassis.calendar import Calendar, Period
from chassis.errors import Refusal
from chassis.ids import new_id
from chassis.paging import Page
from chassis.work import Work
from member.domain.benefit import Benefit, BenefitId, Discount, Perk, ProductFamily, Quota, ServicePriority, Terms
from member.domain.benefit_grant import MAX_GRANTS, Grant, GrantEnded, GrantNotFound, TooManyGrants
from member.domain.benefit_use import (
    BenefitNotHeld,
    BenefitReservationExpired,
    BenefitUse,
    BenefitUsedUp,
    BenefitUseEnded,
    BenefitUseKnown,
    BenefitUseNotFound,
    TakeBenefit,
    UseId,
    UseState,
)
from member.domain.customer import EVERYBODY, CustomerId, CustomerNotFound, PersonId, PersonNotFound
from member.domain.entitlement import Entitlements, GrantId, SourceId, entitlements_at
from member.use_cases import benefit_grants, benefit_uses, entitlements
from member.use_cases.benefit_grants import GrantBenefit, RevokeBenefit
from member.use_cases.benefit_uses import EndReservation

from services.member.tests.factories import JANUARY, day, enrolled, rows, scalar, told
from services.member.tests.steps import C1

SHANGHAI = Calendar(ZoneInfo("Asia/Shanghai"))
LOUNGE = BenefitId("lounge")


def benefit(benefit_id: str, terms: Terms) -> Benefit:
    """A benefit with some name."""
    return Benefit(BenefitId(benefit_id), benefit_id.capitalize(), terms)


def lounge(uses: int = 4, period: Period = Period.YEAR) -> Benefit:
    """Lounge visits."""
    return benefit("lounge", Quota(period, uses))


async def grant(work: Work, what: Benefit, **changes: Any) -> Grant:
    """A benefit granted for the first year."""
    values: dict[str, Any] = {
        "customer_id": C1,
        "person_id": EVERYBODY,
        "starts_at": JANUARY,
        "ends_at": day(365),
        "reason": "sorry",
        "granted_by": "ops",
    }
    command = GrantBenefit(benefit=what, **values | changes)
    return await work.run(lambda transaction: benefit_grants.grant_benefit(transaction, command))


async def revoke(work: Work, grant_id: GrantId, number: int, *, customer_id: CustomerId = C1) -> Grant:
    """A grant taken back on a day."""
    command = RevokeBenefit(customer_id, grant_id, day(number), "a slip", "ops-2")
    return await work.run(lambda transaction: benefit_grants.revoke_benefit(transaction, command))


def wish(at: datetime, *, until: datetime | None = None, **changes: Any) -> TakeBenefit:
    """A lounge visit."""
    values: dict[str, Any] = {
        "use_id": UseId(new_id()),
        "customer_id": C1,
        "person_id": EVERYBODY,
        "benefit_id": LOUNGE,
        "source_id": None,
    }
    return TakeBenefit(occurred_at=at, expires_at=until, **values | changes)


async def take(work: Work, *wishes: TakeBenefit) -> list[BenefitUse | Refusal]:
    """Places taken in one transaction."""
    return await work.run(lambda transaction: benefit_uses.take_benefits(transaction, wishes, SHANGHAI))


async def taken(work: Work, at: datetime, *, until: datetime | None = None, **changes: Any) -> BenefitUse:
    """A place taken."""
    (outcome,) = await take(work, wish(at, until=until, **changes))
    assert isinstance(outcome, BenefitUse), outcome
    return outcome


async def end(work: Work, use: BenefitUse, state: UseState, at: datetime, *, who: CustomerId = C1) -> BenefitUse:
    """A reservation ended."""
    command = EndReservation(who, use.use_id, state, at)
    return await work.run(lambda transaction: benefit_uses.end_reservation(transaction, command))


async def held(work: Work, at: datetime, *, customer_id: CustomerId = C1, person_id: str = "") -> Entitlements:
    """What the customer is entitled to at an instant."""
    async with work.reading() as connection:
        found = await entitlements.find_entitlements(connection, [customer_id])
    return entitlements_at(found[customer_id], PersonId(person_id), at, SHANGHAI)


async def left(work: Work, at: datetime) -> tuple[int, int, int]:
    """Used, reserved and available of the one quota."""
    (quota,) = (await held(work, at)).quotas
    return quota.used, quota.reserved, quota.available


async def test_enrolling_makes_the_row_and_tells_it_once(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    assert [tier.tier_id for tier in (await held(work, day(1))).tiers] == ["standard"]
    assert await told(work, "EntitlementsChanged") == 2
    await work.run(lambda transaction: entitlements.refresh(transaction, [C1, CustomerId("c-2"), C1]))
    assert await told(work, "EntitlementsChanged") == 2
    assert await rows(work, "SELECT customer_id, revision FROM entitlements ORDER BY 1") == [("c-1", 1), ("c-2", 1)]


async def test_the_row_tells_what_is_used_without_a_look_at_the_uses(work: Work) -> None:
    await enrolled(work, "c-1")
    await grant(work, lounge())
    assert await left(work, day(1)) == (0, 0, 4)
    await taken(work, day(1))
    await taken(work, day(2), until=day(5))
    assert await left(work, day(2)) == (1, 1, 2)
    assert await left(work, day(5)) == (1, 0, 3), "the reservation ends by itself, nothing is written"
    assert (await held(work, day(2))).state.revision == 1 + 1 + 2


async def test_a_quota_begins_anew_in_the_next_period_of_the_operators_calendar(work: Work) -> None:
    await enrolled(work, "c-1")
    await grant(work, lounge(1, Period.MONTH))
    february = datetime(2026, 1, 31, 16, tzinfo=JANUARY.tzinfo)
    await taken(work, february - timedelta(microseconds=1))
    assert isinstance((await take(work, wish(february - timedelta(microseconds=2))))[0], BenefitUsedUp)
    assert await left(work, february) == (0, 0, 1)
    await taken(work, february)
    (quota,) = (await held(work, february)).quotas
    assert (quota.used, quota.renews_at) == (1, datetime(2026, 2, 28, 16, tzinfo=JANUARY.tzinfo))


async def test_of_64_takers_at_once_exactly_as_many_win_as_the_quota_allows(work: Work) -> None:
    await enrolled(work, "c-1")
    await grant(work, lounge(4))
    outcomes = await asyncio.gather(
        *(take(work, wish(day(1), until=day(2) if number % 2 else None)) for number in range(64))
    )
    won = [outcome for (outcome,) in outcomes if isinstance(outcome, BenefitUse)]
    assert len(won) == 4
    assert {type(outcome) for (outcome,) in outcomes} == {BenefitUse, BenefitUsedUp}
    used, reserved, available = await left(work, day(1))
    assert (used + reserved, available) == (4, 0)
    assert await scalar(work, "SELECT count(*) FROM benefit_uses") == 4


async def test_takers_of_one_transaction_are_decided_one_after_the_other(work: Work) -> None:
    await enrolled(work, "c-1")
    await grant(work, lounge(2))
    outcomes = await take(work, *(wish(day(1)) for _ in range(3)), wish(day(1), customer_id=CustomerId("nobody")))
    assert [type(outcome) for outcome in outcomes] == [BenefitUse, BenefitUse, BenefitUsedUp, BenefitNotHeld]


async def test_a_reservation_is_used_or_given_back_once_and_in_time(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    await grant(work, lounge(1))
    use = await taken(work, day(1), until=day(3))
    with pytest.raises(BenefitUseNotFound):
        await end(work, use, UseState.USED, day(2), who=CustomerId("c-2"))
    assert (await end(work, use, UseState.RELEASED, day(2))).ended_at == day(2)
    assert await left(work, day(2)) == (0, 0, 1)
    with pytest.raises(BenefitUseEnded):
        await end(work, use, UseState.USED, day(2))
    again = await taken(work, day(2), until=day(3))
    assert (await end(work, again, UseState.USED, day(3) - timedelta(microseconds=1))).state is UseState.USED
    assert await left(work, day(3)) == (1, 0, 0)
    with pytest.raises(BenefitUseEnded):
        await end(work, again, UseState.RELEASED, day(2))


async def test_an_expired_reservation_gives_its_place_back_and_cannot_be_confirmed(work: Work) -> None:
    await enrolled(work, "c-1")
    await grant(work, lounge(1))
    late = await taken(work, day(1), until=day(3))
    assert isinstance((await take(work, wish(day(3) - timedelta(microseconds=1))))[0], BenefitUsedUp)
    with pytest.raises(BenefitReservationExpired):
        await end(work, late, UseState.USED, day(3))
    await taken(work, day(3))
    with pytest.raises(BenefitReservationExpired):
        await end(work, late, UseState.USED, day(2))
    found = await rows(work, "SELECT state, ended_at FROM benefit_uses WHERE use_id = :id", id=late.use_id)
    assert found == [("expired", day(3))]


async def test_expiries_are_booked_in_rounds_and_once(work: Work) -> None:
    await enrolled(work, "c-1")
    await grant(work, lounge(3))
    await taken(work, day(1), until=day(3))
    await taken(work, day(1), until=day(9))

    async def expire(number: int) -> int:
        return await work.run(lambda transaction: benefit_uses.expire_reservations(transaction, day(number)))

    assert [await expire(2), await expire(3), await expire(3)] == [0, 1, 0]
    assert (await held(work, day(1))).state.counts[0].reserved_until == (day(9),)


async def test_an_id_is_used_once_even_when_its_claim_is_gone(work: Work) -> None:
    await enrolled(work, "c-1")
    await grant(work, lounge(3))
    wanted = wish(day(1))
    assert isinstance((await take(work, wanted))[0], BenefitUse)
    assert isinstance((await take(work, wanted))[0], BenefitUseKnown)
    assert await left(work, day(1)) == (1, 0, 2)


async def test_the_grant_that_ends_first_is_used_first_and_a_source_may_be_named(work: Work) -> None:
    await enrolled(work, "c-1")
    longer = await grant(work, lounge(1), ends_at=day(60))
    shorter = await grant(work, lounge(1), ends_at=day(30))
    assert (await taken(work, day(1))).source_id == SourceId(shorter.grant_id)
    named = await take(work, wish(day(1), source_id=SourceId(shorter.grant_id)))
    assert isinstance(named[0], BenefitUsedUp)
    assert (await taken(work, day(1))).source_id == SourceId(longer.grant_id)
    assert isinstance((await take(work, wish(day(30), source_id=SourceId(shorter.grant_id))))[0], BenefitNotHeld)


async def test_a_grant_holds_for_its_time_and_for_its_person(work: Work) -> None:
    await enrolled(work, "c-1")
    await grant(work, benefit("off", Discount(ProductFamily("tv"), 500)), starts_at=day(2), ends_at=day(4))
    await grant(work, benefit("queue", ServicePriority(7)), person_id=PersonId("p-1"))
    assert [(await held(work, day(number))).discounts.get(ProductFamily("tv")) for number in (1, 2, 3, 4)] == [
        None,
        500,
        500,
        None,
    ]
    assert (await held(work, day(1))).service_priority == 0
    assert (await held(work, day(1), person_id="p-1")).service_priority == 7
    assert (await held(work, day(3), person_id="p-1")).discounts == {"tv": 500}


async def test_a_grant_is_taken_back_from_an_instant_on_with_who_and_why(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    given = await grant(work, benefit("gift", Perk("A gift on New Year's Eve")))
    with pytest.raises(GrantNotFound):
        await revoke(work, given.grant_id, 3, customer_id=CustomerId("c-2"))
    revoked = await revoke(work, given.grant_id, 3)
    assert (revoked.granted_by, revoked.reason) == ("ops", "sorry")
    assert (revoked.revoked_by, revoked.revoke_reason, revoked.revoked_at) == ("ops-2", "a slip", day(3))
    assert [len((await held(work, day(number))).perks) for number in (2, 3)] == [1, 0]
    with pytest.raises(GrantEnded):
        await revoke(work, given.grant_id, 4)
    async with work.reading() as connection:
        assert await benefit_grants.list_grants(connection, C1, Page(10, None)) == [revoked]


async def test_grants_are_refused_for_nobody_and_beyond_their_number(work: Work) -> None:
    await enrolled(work, "c-1")
    with pytest.raises(CustomerNotFound):
        await grant(work, lounge(), customer_id=CustomerId("nobody"))
    with pytest.raises(PersonNotFound):
        await grant(work, lounge(), person_id=PersonId("p-9"))
    for _ in range(MAX_GRANTS):
        await grant(work, lounge(), ends_at=day(10))
    with pytest.raises(TooManyGrants):
        await grant(work, lounge())
    assert (await grant(work, lounge(), starts_at=day(10))).starts_at == day(10)


async def test_uses_are_listed_newest_first(work: Work) -> None:
    await enrolled(work, "c-1")
    await grant(work, lounge())
    await grant(work, benefit("massage", Quota(Period.EVER, 9)))
    uses = [await taken(work, day(9)), await taken(work, day(3)), await taken(work, day(5), benefit_id="massage")]
    async with work.reading() as connection:
        everything = await benefit_uses.list_uses(connection, C1, None, Page(2, None))
        rest = await benefit_uses.list_uses(connection, C1, None, Page(2, str(everything[1].sequence)))
        visits = await benefit_uses.list_uses(connection, C1, LOUNGE, Page(2, None))
    assert [listed.use for listed in everything] == uses[::-1]
    assert [listed.use for listed in rest] == uses[:1]
    assert [listed.use for listed in visits] == [uses[1], uses[0]]
