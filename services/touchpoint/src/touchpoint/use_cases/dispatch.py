"""Dispatching: what waits for an outbound touchpoint becomes contacts, and messages to the endpoints that listen."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.ids import new_id
from chassis.work import Transaction

from touchpoint.domain.contact import Contact, Meeting
from touchpoint.domain.delivery import OFFER_DISPATCHED, queued_delivery
from touchpoint.domain.identity import DeliveryId, EndpointId, OpportunityId, TouchpointCode
from touchpoint.domain.opportunity import Opportunity
from touchpoint.domain.situation import Choice
from touchpoint.domain.touchpoint import Touchpoint, TouchpointNotFound, TouchpointNotOutbound
from touchpoint.store import deliveries, opportunities, registry
from touchpoint.use_cases.contacts import make_contacts, open_book

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class DispatchOffers:
    """Everything that waits at `as_of` (business time) for a touchpoint, at most `contacts_max`, best first."""

    touchpoint: TouchpointCode
    as_of: datetime
    contacts_max: int


@dataclass(slots=True)
class Dispatched:
    """What came of it. `capped`: opportunities left alone because the customer's cap is reached."""

    contacts: int = 0
    deliveries: int = 0
    capped: int = 0


async def dispatch_offers(transaction: Transaction, command: DispatchOffers) -> Dispatched:
    """Takes what waits, page by page. Refuses an unknown touchpoint and one that reaches nobody.

    A customer whom another touchpoint holds at this moment is left to it and not waited for; he is met next time.
    """
    connection = transaction.connection
    touchpoint = (await registry.load_touchpoints(connection, {command.touchpoint})).get(command.touchpoint)
    if touchpoint is None:
        raise TouchpointNotFound(f"no touchpoint {command.touchpoint!r}", touchpoint=command.touchpoint)
    if not touchpoint.outbound:
        raise TouchpointNotOutbound(f"nothing can be sent through {touchpoint.code}", touchpoint=touchpoint.code)
    listening = await deliveries.load_endpoints_of(connection, touchpoint.code)
    dispatched, seen = Dispatched(), list[OpportunityId]()
    while dispatched.contacts < command.contacts_max:
        page = await opportunities.load_waiting_at(
            connection, touchpoint.code, command.as_of, besides=seen, limit=_PAGE
        )
        if not page:
            break
        seen.extend(one.opportunity_id for one in page)
        room = command.contacts_max - dispatched.contacts
        made, capped = await _take(transaction, page, _meetings(page, touchpoint, command.as_of), room=room)
        dispatched.contacts += len(made)
        dispatched.capped += capped
        dispatched.deliveries += await _queue(transaction, made, listening)
    return dispatched


def _meetings(page: Sequence[Opportunity], touchpoint: Touchpoint, as_of: datetime) -> list[Meeting]:
    return [Meeting(one.customer_id, touchpoint.code, touchpoint.preferred_way, 1, as_of) for one in page]


async def _take(
    transaction: Transaction, page: Sequence[Opportunity], meetings: Sequence[Meeting], *, room: int
) -> tuple[list[Contact], int]:
    """At most `room` contacts, and how many opportunities the cap held back."""
    held = await opportunities.lock_customers_for_update(
        transaction.connection, {one.customer_id for one in page}, skip_held=True
    )
    book = await open_book(transaction.connection, held, [one.occurred_at for one in meetings])
    choices: list[tuple[Meeting, Choice]] = []
    capped = 0
    for meeting in meetings:
        choice = book.choose(meeting)
        capped += len(choice.capped)
        if choice.taken:
            choices.append((meeting, choice))
        if len(choices) == room:
            break
    made = await make_contacts(transaction, choices)
    return [contact for group in made for contact in group], capped


async def _queue(transaction: Transaction, made: Sequence[Contact], listening: Sequence[EndpointId]) -> int:
    queued = [
        queued_delivery(
            DeliveryId(new_id()), endpoint_id, OFFER_DISPATCHED, contact=contact, recorded_at=transaction.recorded_at
        )
        for contact in made
        for endpoint_id in listening
    ]
    if queued:
        await deliveries.queue_deliveries(transaction.connection, queued, transaction.recorded_at)
    return len(queued)
