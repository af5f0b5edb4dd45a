"""The care calendar: holidays, rules, how far a day has been told, and what was told, once each."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.care import (
    Care,
    CareId,
    CareRule,
    CareRuleId,
    Due,
    Enrolled,
    Holiday,
    HolidayId,
    Occasion,
    PutRule,
)
from member.domain.customer import Customer, CustomerId, CustomerKind, ManagerId, PersonId
from member.domain.program import ProgramId
from member.store.customer_documents import customer_from_row
from member.store.customer_tables import care_rules, care_runs, care_told, holidays
from member.store.tables import customers

_INSERT = text("""
    INSERT INTO care_told (care_id, customer_id, person_id, occasion, subject_id, year, years, occurred_at, recorded_at)
    SELECT due.*, :occurred_at, :recorded_at
    FROM unnest(CAST(:ids AS text[]), CAST(:customers AS text[]), CAST(:persons AS text[]), CAST(:occasions AS text[]),
                CAST(:subjects AS text[]), CAST(:year AS integer[]), CAST(:years AS integer[]))
        AS due(care_id, customer_id, person_id, occasion, subject_id, year, years)
    ON CONFLICT ON CONSTRAINT care_told_once DO NOTHING
    RETURNING care_id
""")

_ENROLLED = text("""
    SELECT customer_id, program_id, person_id, enrolled_at FROM members
    WHERE customer_id = ANY(CAST(:ids AS text[]))
    ORDER BY customer_id, program_id, person_id
""")


class Run(NamedTuple):
    """A pass over all customers for one day: behind which to go on, and whether it is through."""

    run_id: str
    day: date
    reached: str
    finished: bool


@dataclass(frozen=True, slots=True)
class CareFilter:
    """Which care to list; None lists all. The manager is the customer's of today."""

    customer_id: CustomerId | None = None
    manager_id: ManagerId | None = None
    told_from: datetime | None = None
    told_until: datetime | None = None


async def put_holiday(connection: AsyncConnection, wanted: Holiday, *, by: str, recorded_at: datetime) -> Holiday:
    """Put a holiday; one whose content is the same keeps its revision."""
    values = {"display_name": wanted.display_name, "days": sorted(wanted.days)}
    row = await _put(connection, holidays, {"holiday_id": wanted.holiday_id}, values, (by, recorded_at))
    return _holiday(row)


async def find_holidays(
    connection: AsyncConnection, ids: Collection[HolidayId] | None = None
) -> dict[HolidayId, Holiday]:
    """These holidays as far as they exist, or all of them."""
    query = select(holidays)
    if ids is not None:
        query = query.where(holidays.c.holiday_id.in_(ids))
    found = [_holiday(row) for row in await connection.execute(query)]
    return {each.holiday_id: each for each in found}


async def list_holidays(connection: AsyncConnection, *, after: str | None, limit: int) -> list[Holiday]:
    """Holidays by id, from behind `after` on."""
    query = select(holidays).where(holidays.c.holiday_id > (after or "")).order_by(holidays.c.holiday_id).limit(limit)
    return [_holiday(row) for row in await connection.execute(query)]


async def put_rule(connection: AsyncConnection, wanted: CareRule, *, by: str, recorded_at: datetime) -> PutRule:
    """Put a rule; one whose content is the same keeps its revision."""
    values = {
        "occasion": wanted.occasion.value,
        "holiday_id": wanted.holiday_id,
        "days_ahead": wanted.days_ahead,
        "years_at_least": wanted.years_at_least,
        "customer_kind": wanted.customer_kind.value if wanted.customer_kind else None,
        "active": wanted.active,
    }
    return _rule(await _put(connection, care_rules, {"rule_id": wanted.rule_id}, values, (by, recorded_at)))


async def count_rules(connection: AsyncConnection) -> int:
    """How many rules there are."""
    return int((await connection.execute(select(func.count()).select_from(care_rules))).scalar_one())


async def active_rules(connection: AsyncConnection) -> list[CareRule]:
    """The rules in force."""
    return [_rule(row).rule for row in await connection.execute(select(care_rules).where(care_rules.c.active))]


async def list_rules(connection: AsyncConnection, *, after: str | None, limit: int) -> list[PutRule]:
    """Rules by id, from behind `after` on."""
    query = select(care_rules).where(care_rules.c.rule_id > (after or "")).order_by(care_rules.c.rule_id).limit(limit)
    return [_rule(row) for row in await connection.execute(query)]


async def run_for_update(connection: AsyncConnection, run_id: str, day: date, *, recorded_at: datetime) -> Run:
    """The pass with this id, begun where there is none yet; nobody else works on it."""
    new = {"run_id": run_id, "day": day, "reached": "", "finished": False, "recorded_at": recorded_at}
    await connection.execute(insert_or(care_runs).values(new).on_conflict_do_nothing())
    query = select(care_runs).where(care_runs.c.run_id == run_id).with_for_update()
    row = (await connection.execute(query)).one()
    return Run(row.run_id, row.day, row.reached, row.finished)


async def save_run(connection: AsyncConnection, run: Run) -> None:
    """How far the pass has come."""
    values = {"reached": run.reached, "finished": run.finished}
    await connection.execute(update(care_runs).where(care_runs.c.run_id == run.run_id).values(values))


async def last_run(connection: AsyncConnection, prefix: str) -> Run | None:
    """The pass of the latest day among those whose ids begin like this."""
    query = select(care_runs).where(care_runs.c.run_id.startswith(prefix, autoescape=True))
    row = (await connection.execute(query.order_by(care_runs.c.day.desc()).limit(1))).one_or_none()
    return None if row is None else Run(row.run_id, row.day, row.reached, row.finished)


async def next_customers(connection: AsyncConnection, *, after: str, limit: int) -> list[Customer]:
    """The next customers by id who can be thought of; they are not erased or merged while they are."""
    query = (
        select(customers)
        .where(customers.c.customer_id > after, customers.c.merged_into.is_(None), customers.c.erased_at.is_(None))
        .order_by(customers.c.customer_id)
        .limit(limit)
        .with_for_update(read=True)
    )
    return [customer_from_row(row) for row in await connection.execute(query)]


async def enrolments(connection: AsyncConnection, ids: Sequence[CustomerId]) -> Mapping[CustomerId, list[Enrolled]]:
    """The memberships of customers, as far as anniversaries ask."""
    found: dict[CustomerId, list[Enrolled]] = {}
    for row in await connection.execute(_ENROLLED, {"ids": list(ids)}):
        enrolled = Enrolled(ProgramId(row.program_id), PersonId(row.person_id), row.enrolled_at)
        found.setdefault(CustomerId(row.customer_id), []).append(enrolled)
    return found


async def insert_care(
    connection: AsyncConnection, due: Sequence[Care], *, occurred_at: datetime, recorded_at: datetime
) -> set[CareId]:
    """Write what is due; returns what had not been told before."""
    if not due:
        return set()
    written = await connection.execute(
        _INSERT,
        {
            "ids": [care.care_id for care in due],
            "customers": [care.due.customer_id for care in due],
            "persons": [care.due.person_id for care in due],
            "occasions": [care.due.occasion.value for care in due],
            "subjects": [care.due.subject_id for care in due],
            "year": [care.due.year for care in due],
            "years": [care.due.years for care in due],
            "occurred_at": occurred_at,
            "recorded_at": recorded_at,
        },
    )
    return {CareId(row.care_id) for row in written}


async def list_care(
    connection: AsyncConnection, only: CareFilter, *, before: tuple[datetime, str] | None, limit: int
) -> list[Care]:
    """Care that was told, newest first, from behind an instant and an id on."""
    query = select(care_told)
    if before is not None:
        query = query.where(tuple_(care_told.c.occurred_at, care_told.c.care_id) < before)
    if only.customer_id is not None:
        query = query.where(care_told.c.customer_id == only.customer_id)
    if only.manager_id is not None:
        query = query.join(customers, customers.c.customer_id == care_told.c.customer_id)
        query = query.where(customers.c.manager_id == only.manager_id)
    if only.told_from is not None:
        query = query.where(care_told.c.occurred_at >= only.told_from)
    if only.told_until is not None:
        query = query.where(care_told.c.occurred_at < only.told_until)
    order = (care_told.c.occurred_at.desc(), care_told.c.care_id.desc())
    return [_care(row) for row in await connection.execute(query.order_by(*order).limit(limit))]


async def _put(
    connection: AsyncConnection, table: Any, key: dict[str, str], values: dict[str, Any], put: tuple[str, datetime]
) -> Row[Any]:
    """The row as it is after putting it; nothing changes where the values are the same."""
    ((column, value),) = key.items()
    query = select(table).where(table.c[column] == value).with_for_update()
    written = {"put_by": put[0], "recorded_at": put[1]}
    new = {**key, **values, **written, "revision": 1}
    inserted = await connection.execute(insert_or(table).values(new).on_conflict_do_nothing().returning(*table.c))
    if (row := inserted.one_or_none()) is not None:
        return row
    known = (await connection.execute(query)).one()
    if all(getattr(known, name) == values[name] for name in values):
        return known
    changes = {**values, **written, "revision": known.revision + 1}
    changed = update(table).where(table.c[column] == value).values(changes).returning(*table.c)
    return (await connection.execute(changed)).one()


def _holiday(row: Row[Any]) -> Holiday:
    return Holiday(HolidayId(row.holiday_id), row.display_name, tuple(row.days), row.revision)


def _rule(row: Row[Any]) -> PutRule:
    rule = CareRule(
        CareRuleId(row.rule_id),
        Occasion(row.occasion),
        None if row.holiday_id is None else HolidayId(row.holiday_id),
        row.days_ahead,
        row.years_at_least,
        None if row.customer_kind is None else CustomerKind(row.customer_kind),
        row.active,
    )
    return PutRule(rule, row.revision, row.put_by, row.recorded_at)


def _care(row: Row[Any]) -> Care:
    due = Due(
        CustomerId(row.customer_id),
        PersonId(row.person_id),
        Occasion(row.occasion),
        row.subject_id,
        row.year,
        row.years,
    )
    return Care(CareId(row.care_id), due, row.occurred_at)
