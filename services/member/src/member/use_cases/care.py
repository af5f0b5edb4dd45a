"""Keep the care calendar, and tell on each day of whom to think.

A day is told in a pass over all customers, in rounds; each piece of care is told once, whichever pass comes upon it.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from chassis.calendar import Calendar
from chassis.errors import InvalidArgument, ResourceExhausted
from chassis.ids import new_id
from chassis.paging import Page
from chassis.work import Transaction

from member.domain.care import (
    Care,
    CareDue,
    CareId,
    CareOf,
    CareRule,
    Holiday,
    HolidayNotFound,
    PutRule,
    care_due,
    check_holiday,
    check_rule,
)
from member.store import Connection
from member.store import care as store

CUSTOMERS_PER_ROUND = 2_000
MAX_RULES = 500
# A service that was away for longer does not congratulate on what is long past.
DAYS_MADE_UP = 7
_DAILY = "day:"


class TooManyCareRules(ResourceExhausted):
    """Each customer is held against every rule each day, so their number is bounded."""

    def __init__(self) -> None:
        super().__init__(f"there are {MAX_RULES} rules already")


@dataclass(frozen=True, slots=True)
class PutHoliday:
    """Create the holiday or replace its name and days."""

    holiday: Holiday
    by: str

    def __post_init__(self) -> None:
        check_holiday(self.holiday)


@dataclass(frozen=True, slots=True)
class PutCareRule:
    """Create the rule or replace it; it counts from the next pass on."""

    rule: CareRule
    by: str

    def __post_init__(self) -> None:
        check_rule(self.rule)


@dataclass(frozen=True, slots=True)
class TellCare:
    """Go on with a pass over the customers for a day."""

    run_id: str
    day: date
    most: int = CUSTOMERS_PER_ROUND


@dataclass(frozen=True, slots=True)
class CareTold:
    """What a round came to; `more` says whether customers are left."""

    customers: int
    told: int
    more: bool


async def put_holiday(transaction: Transaction, command: PutHoliday) -> Holiday:
    """Put a holiday; what is known already changes nothing."""
    return await store.put_holiday(
        transaction.connection, command.holiday, by=command.by, recorded_at=transaction.recorded_at
    )


async def put_care_rule(transaction: Transaction, command: PutCareRule) -> PutRule:
    """Put a rule; HolidayNotFound where its holiday is unknown, TooManyCareRules."""
    connection, holiday_id = transaction.connection, command.rule.holiday_id
    if holiday_id is not None and not await store.find_holidays(connection, [holiday_id]):
        raise HolidayNotFound(holiday_id)
    put = await store.put_rule(connection, command.rule, by=command.by, recorded_at=transaction.recorded_at)
    if put.revision == 1 and await store.count_rules(connection) > MAX_RULES:
        raise TooManyCareRules
    return put


async def tell_care(transaction: Transaction, command: TellCare, calendar: Calendar) -> CareTold:
    """Tell the care of the next customers of the pass; a pass that was left goes on where it was."""
    connection, recorded_at = transaction.connection, transaction.recorded_at
    run = await store.run_for_update(connection, command.run_id, command.day, recorded_at=recorded_at)
    rules = await store.active_rules(connection)
    if run.finished or not rules:
        await store.save_run(connection, run._replace(finished=True))
        return CareTold(0, 0, more=False)
    found = await store.next_customers(connection, after=run.reached, limit=command.most)
    asked = CareOf(rules, await store.find_holidays(connection), calendar)
    enrolled = await store.enrolments(connection, [customer.customer_id for customer in found])
    occurred_at = calendar.start_of(run.day)
    due = [
        Care(CareId(new_id()), each, occurred_at)
        for customer in found
        for each in sorted(care_due(customer, enrolled.get(customer.customer_id, []), run.day, asked))
    ]
    new = await store.insert_care(connection, due, occurred_at=occurred_at, recorded_at=recorded_at)
    for care in due:
        if care.care_id in new:
            transaction.emit(CareDue(care))
    more = len(found) == command.most
    reached = found[-1].customer_id if found else run.reached
    await store.save_run(connection, run._replace(reached=reached, finished=not more))
    return CareTold(len(found), len(new), more)


async def tell_care_daily(transaction: Transaction, calendar: Calendar) -> bool:
    """The next round of the first day that is not through, up to today; whether there is more to do.

    While there are no rules no day passes, so that the first ones count from the day on which they are put.
    """
    if not await store.active_rules(transaction.connection):
        return False
    today = calendar.day_of(transaction.recorded_at)
    last = await store.last_run(transaction.connection, _DAILY)
    day = today
    if last is not None and last.day <= today:
        if last.finished and last.day == today:
            return False
        following = last.day + timedelta(days=1) if last.finished else last.day
        day = max(following, today - timedelta(days=DAYS_MADE_UP))
    told = await tell_care(transaction, TellCare(f"{_DAILY}{day}", day), calendar)
    return told.more or day < today


async def list_holidays(connection: Connection, page: Page) -> list[Holiday]:
    """Holidays by id, one more than the page holds where there are more."""
    return await store.list_holidays(connection, after=page.after, limit=page.wanted)


async def list_care_rules(connection: Connection, page: Page) -> list[PutRule]:
    """Rules by id, one more than the page holds where there are more."""
    return await store.list_rules(connection, after=page.after, limit=page.wanted)


async def list_care(connection: Connection, page: Page, only: store.CareFilter) -> list[Care]:
    """Care that was told, newest first, one more than the page holds where there are more."""
    return await store.list_care(connection, only, before=_before(page), limit=page.wanted)


def _before(page: Page) -> tuple[datetime, str] | None:
    if page.after is None:
        return None
    instant, _, care_id = page.after.partition(" ")
    try:
        before = datetime.fromisoformat(instant)
    except ValueError:
        before = None
    if before is None or before.tzinfo is None:
        raise InvalidArgument("page_token", "is not a token that a list call returned")
    return before, care_id
