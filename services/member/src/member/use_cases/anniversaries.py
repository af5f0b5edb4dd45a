"""Award anniversaries of the enrolment, day by day in the operator's calendar."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

from chassis.calendar import Calendar, Span, add_months, anniversary
from chassis.work import Transaction

from member.domain.earning import Occasion
from member.domain.earning_rule import MAX_YEARS, Trigger
from member.domain.membership import MemberId
from member.store import earners, earning_rules
from member.use_cases.occasions import MemberOccasion, reward_occasions

MEMBERS_PER_ROUND = 500
DAYS_PER_ROUND = 92
_MONTHS_OF_YEAR = 12


@dataclass(frozen=True, slots=True)
class Anniversaries:
    """What one round came to: members who had an anniversary, points given, and days that are through. Nothing of all
    this means that nothing is left."""

    members: int
    points: int
    days: int


class _Page(NamedTuple):
    occasions: list[MemberOccasion]
    days: int


async def reward_anniversaries(transaction: Transaction, as_of: datetime, calendar: Calendar) -> Anniversaries:
    """Give one round of members what their anniversaries are worth that came by `as_of`, day by day in the operator's
    calendar, from the day on which the program's first rule for anniversaries began to act.

    An anniversary is rewarded once, at the beginning of its day. Who enrolled on 29 February keeps the 28th in common
    years. A day that is done is not looked at again, whatever rule or enrolment is recorded for it later.
    """
    until = calendar.day_of(as_of)
    for program in await earning_rules.tenure_programs(transaction.connection):
        page = await _next_page(transaction, program, until, calendar)
        if page.occasions or page.days:
            rewarded = await reward_occasions(transaction, page.occasions, calendar)
            given = sum(each.points for each in rewarded if each)
            return Anniversaries(len(page.occasions), given, page.days)
    return Anniversaries(0, 0, 0)


def spans_of(day: date, every: Collection[int], calendar: Calendar, *, first_year: int) -> list[earners.Kept]:
    """When those enrolled who have an anniversary on a day, since a year; only anniversaries that a rule asks for."""
    kept: list[earners.Kept] = []
    for years in range(1, min(MAX_YEARS, day.year - first_year) + 1):
        if not any(years % each == 0 for each in every):
            continue
        around = add_months(day, -_MONTHS_OF_YEAR * years)
        days = [of for of in (around, around + timedelta(days=1)) if anniversary(of, day.year) == day]
        if days:
            span = Span(calendar.start_of(days[0]), calendar.start_of(days[-1] + timedelta(days=1)))
            kept.append(earners.Kept(day, years, span))
    return kept


async def _next_page(
    transaction: Transaction, program: earning_rules.TenureProgram, until: date, calendar: Calendar
) -> _Page:
    """The next members with an anniversary; where to go on after them is remembered."""
    connection, program_id = transaction.connection, program.program_id
    begin = calendar.day_of(program.acts_from)
    mark = await earners.tenure_mark_for_update(connection, program_id, first=begin)
    end = min(mark.day + timedelta(days=DAYS_PER_ROUND), until + timedelta(days=1))
    days = [mark.day + timedelta(days=number) for number in range((end - mark.day).days)]
    enrolled = await earners.first_enrolment(connection, program_id)
    kept = [
        each
        for day in days
        if enrolled is not None
        for each in spans_of(day, program.every_years, calendar, first_year=calendar.day_of(enrolled).year)
    ]
    found = await earners.enrolled_within(connection, program_id, kept, mark=mark, most=MEMBERS_PER_ROUND)
    if len(found) == MEMBERS_PER_ROUND:
        last, _, member_id = found[-1]
        reached = earners.TenureMark(last, member_id)
    else:
        reached = earners.TenureMark(max(end, mark.day), "")
    await earners.save_tenure_mark(connection, program_id, reached)
    occasions = [_anniversary(member_id, years, calendar.start_of(day)) for day, years, member_id in found]
    return _Page(occasions, (reached.day - mark.day).days)


def _anniversary(member_id: MemberId, years: int, at: datetime) -> MemberOccasion:
    occasion = Occasion(Trigger.TENURE, at, years=years)
    return MemberOccasion(f"tenure:{member_id}:{years}", member_id, occasion, f"{years} years a member")
