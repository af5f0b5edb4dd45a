"""Contacts and their outcomes."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Row, func, select, text, true, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from touchpoint.domain.contact import SILENCING_OUTCOMES, Contact, Outcome, OutcomeNote
from touchpoint.domain.figures import TouchpointFigures
from touchpoint.domain.identity import CampaignId, ContactId, CustomerId, OpportunityId, TouchpointCode
from touchpoint.domain.opportunity import OpportunityState
from touchpoint.store.opportunities import offer_from_row
from touchpoint.store.tables import contacts, opportunities, outcomes

# One row decides: only the opportunities that are still open at this statement become contacts.
_ADD_CONTACTS = text("""
WITH proposed AS (
    SELECT * FROM unnest(CAST(:contact_ids AS text[]), CAST(:opportunity_ids AS text[]), CAST(:customer_ids AS text[]),
                         CAST(:campaign_ids AS text[]), CAST(:touchpoints AS text[]), CAST(:delivery_ways AS text[]),
                         CAST(:occurred_ats AS timestamptz[]))
        AS p(contact_id, opportunity_id, customer_id, campaign_id, touchpoint, delivery_way, occurred_at)
), won AS (
    UPDATE opportunities o SET state = 'taken' FROM proposed p
    WHERE o.opportunity_id = p.opportunity_id AND o.state = 'open'
    RETURNING o.opportunity_id
)
INSERT INTO contacts (contact_id, opportunity_id, customer_id, campaign_id, touchpoint, delivery_way, occurred_at,
                      recorded_at)
SELECT p.contact_id, p.opportunity_id, p.customer_id, p.campaign_id, p.touchpoint, p.delivery_way, p.occurred_at,
       CAST(:recorded_at AS timestamptz)
FROM proposed p JOIN won USING (opportunity_id)
RETURNING contact_id
""")

_ADD_OUTCOMES = text("""
INSERT INTO outcomes (contact_id, outcome, occurred_at, recorded_at)
SELECT n.contact_id, n.outcome, n.occurred_at, CAST(:recorded_at AS timestamptz)
FROM unnest(CAST(:contact_ids AS text[]), CAST(:outcomes AS text[]), CAST(:occurred_ats AS timestamptz[]))
     WITH ORDINALITY AS n(contact_id, outcome, occurred_at, position)
ORDER BY n.position
""")

# A microsecond is the least step of a timestamp, so a frame that ends one before the window's end is half-open.
_IN_WINDOW_MAX = text("""
SELECT coalesce(max(in_window), 0) FROM (
    SELECT count(*) OVER (PARTITION BY customer_id ORDER BY occurred_at
                          RANGE BETWEEN CURRENT ROW AND CAST(:window AS interval) FOLLOWING) AS in_window
    FROM contacts) AS counted
""")

_LAST = (
    select(outcomes.c.outcome, outcomes.c.occurred_at.label("outcome_at"))
    .where(outcomes.c.contact_id == contacts.c.contact_id)
    .order_by(outcomes.c.occurred_at.desc(), outcomes.c.position.desc())
    .limit(1)
    .lateral("last")
)
_CONTACT = (
    select(
        contacts,
        opportunities.c.offer_id,
        opportunities.c.offer_title,
        opportunities.c.offer_body,
        opportunities.c.offer_value_minor,
        _LAST.c.outcome,
        _LAST.c.outcome_at,
    )
    .join(opportunities, opportunities.c.opportunity_id == contacts.c.opportunity_id)
    .outerjoin(_LAST, true())
)


async def add_contacts(
    connection: AsyncConnection, proposed: Sequence[Contact], recorded_at: datetime
) -> set[ContactId]:
    """Takes the opportunities that are still open and stores their contacts; which contacts came to be."""
    rows = await connection.execute(
        _ADD_CONTACTS,
        {
            "contact_ids": [one.contact_id for one in proposed],
            "opportunity_ids": [one.opportunity_id for one in proposed],
            "customer_ids": [one.customer_id for one in proposed],
            "campaign_ids": [one.campaign_id for one in proposed],
            "touchpoints": [one.touchpoint for one in proposed],
            "delivery_ways": [one.delivery_way for one in proposed],
            "occurred_ats": [one.occurred_at for one in proposed],
            "recorded_at": recorded_at,
        },
    )
    return {ContactId(row.contact_id) for row in rows}


async def load_contact_times(
    connection: AsyncConnection, customer_ids: Iterable[CustomerId], after: datetime, before: datetime
) -> dict[CustomerId, list[datetime]]:
    """When these customers had contacts between two instants."""
    columns = contacts.c
    rows = await connection.execute(
        select(columns.customer_id, columns.occurred_at).where(
            columns.customer_id == func.any(list(customer_ids)),
            columns.occurred_at > after,
            columns.occurred_at < before,
        )
    )
    times: dict[CustomerId, list[datetime]] = defaultdict(list)
    for customer_id, occurred_at in rows:
        times[customer_id].append(occurred_at)
    return times


async def load_refusal_times(
    connection: AsyncConnection, customer_ids: Iterable[CustomerId], after: datetime
) -> dict[CustomerId, dict[CampaignId, list[datetime]]]:
    """When these customers refused or complained after an instant, by campaign; only last outcomes count."""
    rows = await connection.execute(
        select(contacts.c.customer_id, contacts.c.campaign_id, _LAST.c.outcome_at)
        .join(_LAST, true())
        .where(
            contacts.c.customer_id == func.any(list(customer_ids)),
            _LAST.c.outcome.in_(SILENCING_OUTCOMES),
            _LAST.c.outcome_at > after,
        )
    )
    times: dict[CustomerId, dict[CampaignId, list[datetime]]] = defaultdict(lambda: defaultdict(list))
    for customer_id, campaign_id, outcome_at in rows:
        times[customer_id][campaign_id].append(outcome_at)
    return times


async def load_contacts(connection: AsyncConnection, contact_ids: Iterable[ContactId]) -> dict[ContactId, Contact]:
    """The contacts among these ids."""
    rows = await connection.execute(_CONTACT.where(contacts.c.contact_id == func.any(list(contact_ids))))
    return {ContactId(row.contact_id): contact_from_row(row) for row in rows}


async def add_outcomes(connection: AsyncConnection, notes: Sequence[OutcomeNote], recorded_at: datetime) -> None:
    """Appends what was told, in this order."""
    await connection.execute(
        _ADD_OUTCOMES,
        {
            "contact_ids": [note.contact_id for note in notes],
            "outcomes": [note.outcome for note in notes],
            "occurred_ats": [note.occurred_at for note in notes],
            "recorded_at": recorded_at,
        },
    )


async def list_contacts(
    connection: AsyncConnection,
    customer_id: CustomerId | None,
    *,
    size: int,
    after: tuple[datetime, ContactId] | None,
) -> list[Contact]:
    """A page of contacts, newest first in business time, of one customer or of all."""
    columns = contacts.c
    query = _CONTACT.order_by(columns.occurred_at.desc(), columns.contact_id.desc()).limit(size)
    if customer_id is not None:
        query = query.where(columns.customer_id == customer_id)
    if after is not None:
        query = query.where(tuple_(columns.occurred_at, columns.contact_id) < tuple_(*after))
    return [contact_from_row(row) for row in await connection.execute(query)]


async def count_contacts(connection: AsyncConnection) -> tuple[TouchpointFigures, ...]:
    """Contacts and last outcomes by touchpoint."""
    told = [func.count().filter(_LAST.c.outcome == outcome) for outcome in (Outcome.ACCEPTED, Outcome.REFUSED)]
    rows = await connection.execute(
        select(contacts.c.touchpoint, func.count(), *told)
        .select_from(contacts)
        .outerjoin(_LAST, true())
        .group_by(contacts.c.touchpoint)
        .order_by(contacts.c.touchpoint)
    )
    return tuple(TouchpointFigures(TouchpointCode(code), made, yes, no) for code, made, yes, no in rows)


async def count_in_window_max(connection: AsyncConnection, window: timedelta) -> int:
    """The most contacts that one customer had in any half-open window of this length."""
    frame = window - timedelta(microseconds=1)
    return int((await connection.execute(_IN_WINDOW_MAX, {"window": frame})).scalar_one())


async def count_shown_twice(connection: AsyncConnection) -> int:
    """Opportunities with more than one contact."""
    twice = select(contacts.c.opportunity_id).group_by(contacts.c.opportunity_id).having(func.count() > 1).subquery()
    return int((await connection.execute(select(func.count()).select_from(twice))).scalar_one())


async def list_torn(connection: AsyncConnection, limit: int) -> list[OpportunityId]:
    """Opportunities that are taken without a contact, or have one without being taken."""
    taken = opportunities.c.state == OpportunityState.TAKEN
    rows = await connection.execute(
        select(opportunities.c.opportunity_id)
        .outerjoin(contacts, contacts.c.opportunity_id == opportunities.c.opportunity_id)
        .where(taken != contacts.c.contact_id.is_not(None))
        .order_by(opportunities.c.opportunity_id)
        .limit(limit)
    )
    return [OpportunityId(row.opportunity_id) for row in rows]


async def count_customers_contacted(connection: AsyncConnection) -> int:
    """Customers who had a contact."""
    return int((await connection.execute(select(func.count(contacts.c.customer_id.distinct())))).scalar_one())


def contact_from_row(row: Row[tuple[object, ...]]) -> Contact:
    """The contact of a row with its offer and last outcome."""
    return Contact(
        contact_id=ContactId(row.contact_id),
        opportunity_id=OpportunityId(row.opportunity_id),
        customer_id=CustomerId(row.customer_id),
        campaign_id=CampaignId(row.campaign_id),
        touchpoint=TouchpointCode(row.touchpoint),
        delivery_way=row.delivery_way,
        offer=offer_from_row(row),
        occurred_at=row.occurred_at,
        outcome=None if row.outcome is None else Outcome(row.outcome),
        outcome_at=row.outcome_at,
    )
