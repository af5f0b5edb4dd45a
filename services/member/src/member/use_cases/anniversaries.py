"""Award anniversaries of the enrolment, day by day in the operator's calendar."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

from chassis.calendar import EARLIEST, Calendar, Span, add_months, anniversary
from chassis.work import Transaction

from member.domain.earning import Occasion
from member.domain.earning_rule import MAX_YEARS, Trigger
from member.domain.membership import MemberId
from member.store import earning, earning_rules
from member.use_cases.occasions import MemberOccasion, reward_occasions

MEMBERS_PER_ROUND = 500
DAYS_PER_ROUND = 366


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


def spans_of(day: date, every: Collection[int], calendar: Calendar) -> dict[int, Span]:
    """When those enrolled who have an anniversary on a day, by the years it is; only years that a rule asks for."""
    spans: dict[int, Span] = {}
    for years in range(1, min(MAX_YEARS, day.year - EARLIEST.year) + 1):
        if not any(years % each == 0 for each in every):
            continue
        around = add_months(day, -12 * years)
        kept = [of for of in (around, around + timedelta(days=1)) if anniversary(of, day.year) == day]
        if kept:
            spans[years] = Span(calendar.start_of(kept[0]), calendar.start_of(kept[-1] + timedelta(days=1)))
    return spans


async def _next_page(
    transaction: Transaction, program: earning_rules.TenureProgram, until: date, calendar: Calendar
) -> _Page:
    """The next members with an anniversary, and where to go on after them."""
    connection = transaction.connection
    first = calendar.day_of(program.acts_from)
    begun, after = await earning.tenure_mark_for_update(connection, program.program_id, first=first)
    day = begun
    occasions: list[MemberOccasion] = []
    for _ in range(DAYS_PER_ROUND):
        if day > until:
            break
        room = MEMBERS_PER_ROUND - len(occasions)
        found = await earning.enrolled_within(
            connection, program.program_id, spans_of(day, program.every_years, calendar), after=after, most=room
        )
        occasions += [_anniversary(member_id, years, calendar.start_of(day)) for member_id, years in found]
        if len(found) == room:
            after = found[-1][0]
            break
        day, after = day + timedelta(days=1), ""
    await earning.save_tenure_mark(connection, program.program_id, earning.TenureMark(day, after))
    return _Page(occasions, (day - begun).days)


def _anniversary(member_id: MemberId, years: int, at: datetime) -> MemberOccasion:
    occasion = Occasion(Trigger.TENURE, at, years=years)
    return MemberOccasion(f"tenure:{member_id}:{years}", member_id, occasion, f"{years} years a member")
