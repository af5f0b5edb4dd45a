"""The care calendar: who is thought of on which day, once a year, and never with more than the occasion."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from chassis.calendar import Calendar
from chassis.errors import InvalidArgument, Refusal
from chassis.paging import Page
from chassis.work import Work
from hypothesis import given
from hypothesis import strategies as st
from member.domain.care import (
    CareOf,
    CareRule,
    CareRuleId,
    Due,
    Enrolled,
    Holiday,
    HolidayId,
    HolidayNotFound,
    Occasion,
    PutRule,
    care_due,
    check_holiday,
    check_rule,
)
from member.domain.customer import CustomerId, CustomerKind, PersonId, Subscriber, SubscriberId, SubscriberKind
from member.domain.program import GENERAL
from member.store.care import CareFilter
from member.use_cases import care as use_cases
from member.use_cases.care import CareTold, TellCare
from member.use_cases.customers import UpsertCustomer
from member.wire import FACTS

from services.member.tests.customers import BIRTHDAY, assign, erase, full_customer, merge, merging, mobile
from services.member.tests.factories import JANUARY, RECORDED_AT, customer, enrolled, person, rows, scalar, told
from services.member.tests.steps import C1, put

SHANGHAI = Calendar(ZoneInfo("Asia/Shanghai"))
PARTY = date(2026, 6, 5)
FESTIVAL = Holiday(HolidayId("spring"), "Spring Festival", (date(2026, 2, 17), date(2027, 2, 6)))


def rule(occasion: Occasion, rule_id: str = "r", **changes: Any) -> CareRule:
    """A rule in force for everybody, on the very day."""
    values: dict[str, Any] = {
        "holiday_id": FESTIVAL.holiday_id if occasion is Occasion.HOLIDAY else None,
        "days_ahead": 0,
        "years_at_least": 0,
        "customer_kind": None,
        "active": True,
    }
    return CareRule(CareRuleId(rule_id), occasion, **values | changes)


def due(on: date, *rules: CareRule, of: Any = None, memberships: tuple[Enrolled, ...] = ()) -> set[tuple[Any, ...]]:
    """What the rules say of a full household on a day, without whose it is."""
    asked = CareOf(rules, {FESTIVAL.holiday_id: FESTIVAL}, SHANGHAI)
    return {each[1:] for each in care_due(of or full_customer(), memberships, on, asked)}


def test_a_birthday_is_kept_each_year_and_not_on_the_day_of_birth() -> None:
    birthday = rule(Occasion.BIRTHDAY)
    assert due(PARTY, birthday) == {("p-1", Occasion.BIRTHDAY, "", 2026, 0)}
    assert due(PARTY + timedelta(days=1), birthday) == due(BIRTHDAY, birthday) == set()
    assert due(PARTY - timedelta(days=7), rule(Occasion.BIRTHDAY, days_ahead=7)) == due(PARTY, birthday)
    new_year = full_customer(persons=(person(birthday=date(1990, 1, 2)),))
    ahead = rule(Occasion.BIRTHDAY, days_ahead=7)
    assert due(date(2026, 12, 26), ahead, of=new_year) == {("p-1", Occasion.BIRTHDAY, "", 2027, 0)}


@given(st.dates(date(1900, 1, 1), date(2024, 12, 31)), st.integers(2025, 2060))
def test_every_birthday_is_kept_on_one_day_of_every_year(born: date, year: int) -> None:
    household = full_customer(persons=(person(birthday=born),))
    kept = [
        day
        for day in (date(year, 1, 1) + timedelta(days=number) for number in range(366))
        if day.year == year and due(day, rule(Occasion.BIRTHDAY), of=household)
    ]
    assert len(kept) == 1
    leap = (born.month, born.day) == (2, 29) and not _leap(year)
    assert (kept[0].month, kept[0].day) == ((2, 28) if leap else (born.month, born.day))


def _leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def test_holidays_anniversaries_and_numbers() -> None:
    assert due(FESTIVAL.days[1], rule(Occasion.HOLIDAY)) == {("", Occasion.HOLIDAY, "spring", 2027, 0)}
    assert due(FESTIVAL.days[1] + timedelta(days=1), rule(Occasion.HOLIDAY)) == set()
    memberships = (Enrolled(GENERAL, PersonId(""), JANUARY), Enrolled(GENERAL, PersonId("p-2"), JANUARY))
    kept = due(date(2028, 1, 1), rule(Occasion.MEMBERSHIP_ANNIVERSARY), memberships=memberships)
    assert kept == {(each, Occasion.MEMBERSHIP_ANNIVERSARY, GENERAL, 2028, 2) for each in ("", "p-2")}
    assert due(date(2026, 1, 1), rule(Occasion.MEMBERSHIP_ANNIVERSARY), memberships=memberships) == set()
    service = due(date(2026, 3, 1), rule(Occasion.SERVICE_ANNIVERSARY))
    assert service == {("", Occasion.SERVICE_ANNIVERSARY, "mobile", 2026, 10)}
    number = rule(Occasion.LONG_HELD_NUMBER, years_at_least=10)
    assert due(date(2026, 3, 1), number) == {("", Occasion.LONG_HELD_NUMBER, "mobile", 2026, 10)}
    assert due(date(2025, 3, 1), number) == set()


def test_a_line_counts_from_the_first_of_its_kind_while_it_is_in_service() -> None:
    lines = (mobile(1, in_service_until=datetime(2025, 1, 1, tzinfo=UTC)), mobile(2, in_service_since=JANUARY))
    anniversary = rule(Occasion.SERVICE_ANNIVERSARY)
    household = customer(subscribers=lines)
    assert due(date(2026, 3, 1), anniversary, of=household) == set()
    assert due(date(2027, 1, 1), anniversary, of=household) == {("", Occasion.SERVICE_ANNIVERSARY, "mobile", 2027, 1)}


def test_the_operators_midnight_parts_the_days() -> None:
    """16:30 of the 31st in UTC is the first of the next month in Shanghai."""
    line = Subscriber(SubscriberId("t"), SubscriberKind.TV, datetime(2020, 5, 31, 16, 30, tzinfo=UTC))
    household = customer(subscribers=(line,))
    kept = [
        day
        for day in (date(2026, 5, 31), date(2026, 6, 1))
        if due(day, rule(Occasion.SERVICE_ANNIVERSARY), of=household)
    ]
    assert kept == [date(2026, 6, 1)]


def test_rules_are_for_whom_they_say_and_while_they_are_in_force() -> None:
    assert due(PARTY, rule(Occasion.BIRTHDAY, active=False)) == set()
    assert due(PARTY, rule(Occasion.BIRTHDAY, customer_kind=CustomerKind.ENTERPRISE)) == set()
    both = rule(Occasion.BIRTHDAY), rule(Occasion.BIRTHDAY, "again", customer_kind=CustomerKind.HOUSEHOLD)
    assert len(due(PARTY, *both)) == 1


@pytest.mark.parametrize(
    ("wrong", "fields"),
    [
        (rule(Occasion.BIRTHDAY, days_ahead=61), ["rule.days_ahead"]),
        (rule(Occasion.BIRTHDAY, days_ahead=-1, years_at_least=101), ["rule.days_ahead", "rule.years_at_least"]),
        (rule(Occasion.BIRTHDAY, holiday_id=HolidayId("spring")), ["rule.holiday_id"]),
        (rule(Occasion.HOLIDAY, holiday_id=None), ["rule.holiday_id"]),
    ],
)
def test_a_rule_that_cannot_be_followed_names_its_fields(wrong: CareRule, fields: list[str]) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        check_rule(wrong)
    assert [each.field for each in refusal.value.violations] == fields


def test_a_holiday_falls_once_a_year() -> None:
    with pytest.raises(InvalidArgument):
        check_holiday(Holiday(HolidayId("h"), "Twice", (date(2026, 1, 1), date(2026, 10, 1))))


async def put_rule(work: Work, wanted: CareRule) -> PutRule:
    """A rule in the tables."""
    command = use_cases.PutCareRule(wanted, "op")
    return await work.run(lambda transaction: use_cases.put_care_rule(transaction, command))


async def put_rules(work: Work, *rules: CareRule) -> list[PutRule]:
    """Rules in the tables, one after the other."""
    return [await put_rule(work, each) for each in rules]


async def tell(work: Work, day: date, *, run_id: str = "run", most: int = 2_000) -> CareTold:
    """A round."""
    return await work.run(lambda transaction: use_cases.tell_care(transaction, TellCare(run_id, day, most), SHANGHAI))


async def test_care_is_told_once_whoever_tells_it(work: Work) -> None:
    await put(work, *(UpsertCustomer(full_customer(f"c-{number}")) for number in range(5)))
    await put_rules(work, rule(Occasion.BIRTHDAY))
    first = [await tell(work, PARTY, most=2) for _ in range(4)]
    assert [(each.customers, each.told, each.more) for each in first] == [
        (2, 2, True),
        (2, 2, True),
        (1, 1, False),
        (0, 0, False),
    ]
    assert await tell(work, PARTY, run_id="other") == CareTold(5, 0, more=False)
    assert await told(work, "CareDue") == 5
    assert (await tell(work, PARTY.replace(year=2027), run_id="next")).told == 5


async def test_two_who_tell_at_once_tell_it_once(work: Work) -> None:
    await put(work, *(UpsertCustomer(full_customer(f"c-{number}")) for number in range(20)))
    await put_rules(work, rule(Occasion.BIRTHDAY))
    outcomes = await asyncio.gather(*(tell(work, PARTY, run_id=f"run-{number}") for number in range(6)))
    assert sum(each.told for each in outcomes) == 20
    assert await told(work, "CareDue") == 20


async def test_what_is_told_says_no_birthday_and_nobody_who_is_gone_is_thought_of(work: Work) -> None:
    await put(work, UpsertCustomer(full_customer("c-1")), UpsertCustomer(full_customer("c-2")))
    await put_rules(work, rule(Occasion.BIRTHDAY, days_ahead=3))
    await erase(work, "c-2")
    assert (await tell(work, PARTY - timedelta(days=3))).told == 1
    (row,) = await rows(work, "SELECT person_id, occasion, subject_id, years, care_id FROM care_told")
    assert row[:4] == ("p-1", "birthday", "", 0)
    event = next(message for kind, message in _facts(row[4]) if kind == "CareDue")
    names = {field.name for field, _ in event.ListFields()}
    assert names == {"care_id", "customer_id", "person_id", "occasion", "occurred_at"}
    await erase(work, "c-1", "p-1")
    assert await scalar(work, "SELECT count(*) FROM care_told") == 0


def _facts(care_id: str) -> list[tuple[str, Any]]:
    from member.domain.care import Care, CareDue, CareId

    told_care = Care(CareId(care_id), Due(C1, PersonId("p-1"), Occasion.BIRTHDAY, "", 2026, 0), JANUARY)
    return [("CareDue", FACTS[CareDue](CareDue(told_care)))]


async def test_the_day_is_told_by_itself_and_missed_days_are_made_up(work: Work) -> None:
    today = SHANGHAI.day_of(RECORDED_AT)
    born = [today - timedelta(days=number) for number in (0, 1, 3, 20)]
    people = tuple(person(f"p-{index}", birthday=day.replace(year=1980)) for index, day in enumerate(born))
    await put(work, UpsertCustomer(full_customer(persons=people)))
    await put_rules(work, rule(Occasion.BIRTHDAY))
    asked = TellCare(f"day:{today - timedelta(days=4)}", today - timedelta(days=4))
    await work.run(lambda transaction: use_cases.tell_care(transaction, asked, SHANGHAI))
    while await work.run(lambda transaction: use_cases.tell_care_daily(transaction, SHANGHAI)):
        pass
    found = await rows(work, "SELECT person_id FROM care_told ORDER BY 1")
    assert found == [("p-0",), ("p-1",), ("p-2",)]
    assert not await work.run(lambda transaction: use_cases.tell_care_daily(transaction, SHANGHAI))


async def test_the_first_day_ever_is_today(work: Work) -> None:
    assert not await work.run(lambda transaction: use_cases.tell_care_daily(transaction, SHANGHAI))
    assert await scalar(work, "SELECT count(*) FROM care_runs") == 0
    await put_rules(work, rule(Occasion.BIRTHDAY))
    while await work.run(lambda transaction: use_cases.tell_care_daily(transaction, SHANGHAI)):
        pass
    assert await rows(work, "SELECT day, finished FROM care_runs") == [(SHANGHAI.day_of(RECORDED_AT), True)]


async def test_rules_and_holidays_are_put_and_put_again(work: Work) -> None:
    async def put_holiday(holiday: Holiday) -> Holiday:
        return await work.run(
            lambda transaction: use_cases.put_holiday(transaction, use_cases.PutHoliday(holiday, "op"))
        )

    with pytest.raises(HolidayNotFound):
        await put_rules(work, rule(Occasion.HOLIDAY))
    assert [(await put_holiday(FESTIVAL)).revision for _ in range(2)] == [1, 1]
    changed = Holiday(FESTIVAL.holiday_id, FESTIVAL.display_name, FESTIVAL.days[:1])
    assert (await put_holiday(changed)).revision == 2
    put_twice = await put_rules(
        work, rule(Occasion.HOLIDAY), rule(Occasion.HOLIDAY), rule(Occasion.HOLIDAY, active=False)
    )
    assert [(each.revision, each.put_by) for each in put_twice] == [(1, "op"), (1, "op"), (2, "op")]


async def test_a_manager_sees_the_care_of_the_own_customers(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    await put(work, UpsertCustomer(full_customer("c-1")), UpsertCustomer(full_customer("c-2")))
    assigned = await assign(work, "anna", customer_id="c-2")
    assert not isinstance(assigned, Refusal)
    await put_rules(work, rule(Occasion.BIRTHDAY), rule(Occasion.MEMBERSHIP_ANNIVERSARY, "years"))
    await tell(work, PARTY)
    await tell(work, date(2027, 1, 1), run_id="later")
    page = Page(50, None)
    async with work.reading() as connection:
        everything = await use_cases.list_care(connection, page, CareFilter())
        of_anna = await use_cases.list_care(connection, page, CareFilter(manager_id=assigned.manager_id))
        since = SHANGHAI.start_of(date(2026, 6, 6))
        later = await use_cases.list_care(connection, page, CareFilter(told_from=since))
        behind = Page(50, f"{everything[0].occurred_at.isoformat()} {everything[0].care_id}")
        rest = await use_cases.list_care(connection, behind, CareFilter())
        of_c1 = await use_cases.list_care(connection, page, CareFilter(customer_id=CustomerId("c-1"), told_until=since))
        with pytest.raises(InvalidArgument):
            await use_cases.list_care(connection, Page(50, "yesterday x"), CareFilter())
    assert len(everything) == 4
    assert rest == everything[1:]
    assert {each.due.customer_id for each in of_anna} == {"c-2"}
    assert [each.due.occasion for each in later] == [Occasion.MEMBERSHIP_ANNIVERSARY] * 2
    assert [each.due.occasion for each in of_c1] == [Occasion.BIRTHDAY]


async def test_what_was_told_of_one_merged_away_is_not_told_again_and_is_forgotten_with_the_other(work: Work) -> None:
    await put(work, UpsertCustomer(customer("c-1")), UpsertCustomer(full_customer("c-2")))
    await put_rules(work, rule(Occasion.BIRTHDAY))
    assert (await tell(work, PARTY)).told == 1
    await merge(work, merging(p_1="p-7", p_2="p-8"))
    assert (await tell(work, PARTY, run_id="again")).told == 0
    assert await rows(work, "SELECT customer_id, person_id FROM care_told") == [("c-1", "p-7")]
    await erase(work, person_id="p-7")
    assert await rows(work, "SELECT * FROM care_told") == []
