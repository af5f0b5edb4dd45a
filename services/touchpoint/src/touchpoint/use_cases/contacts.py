"""Presenting and dispatching: the first touchpoint takes an opportunity, within what the customer may be told.

Everything that makes contacts locks the customers' rows first. The cap is counted and used up under that lock, so
that two touchpoints can neither take the same offer nor pass the cap together.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.errors import Refusal
from chassis.ids import new_id
from chassis.work import Transaction

from touchpoint.domain.contact import Contact, ContactMade, Meeting, contact_from
from touchpoint.domain.identity import ContactId, CustomerId, TouchpointCode
from touchpoint.domain.opportunity import Opportunity
from touchpoint.domain.policy import ContactPolicy
from touchpoint.domain.situation import Choice, SilenceReason, Situation
from touchpoint.domain.touchpoint import Touchpoint, TouchpointNotFound
from touchpoint.store import Connection, contacts, opportunities, registry
from touchpoint.use_cases.opportunities import record_opportunities


@dataclass(frozen=True, slots=True)
class PresentOffers:
    """The customer is at a touchpoint. `decided`: what campaign decided for this very moment, not yet stored."""

    customer_id: CustomerId
    touchpoint: TouchpointCode
    delivery_way: str
    offers_max: int
    occurred_at: datetime
    decided: tuple[Opportunity, ...] = ()


@dataclass(frozen=True, slots=True)
class Presented:
    """The contacts made, the best offer first, or why there is none."""

    contacts: tuple[Contact, ...]
    silence: SilenceReason | None


@dataclass(frozen=True, slots=True)
class ContactBook:
    """The policy and the situations of some customers, from which contacts are chosen one after the other."""

    policy: ContactPolicy
    situations: dict[CustomerId, Situation]

    def choose(self, meeting: Meeting) -> Choice:
        """The offers for this meeting, counted at once so that the next meeting sees them."""
        situation = self.situations.get(meeting.customer_id, Situation())
        choice = situation.choose(meeting, self.policy)
        situation.take(choice, meeting.occurred_at)
        return choice


async def present_offers(transaction: Transaction, commands: Sequence[PresentOffers]) -> list[Presented | Refusal]:
    """Takes for each visit what waits for it, best first; an unknown touchpoint or way refuses that visit alone."""
    connection = transaction.connection
    if decided := [one for command in commands for one in command.decided]:
        await record_opportunities(transaction, decided)
    known = await registry.load_touchpoints(connection, {command.touchpoint for command in commands})
    visits = [_meeting(command, known) for command in commands]
    meetings = [visit for visit in visits if isinstance(visit, Meeting)]
    held = await opportunities.lock_customers_for_update(connection, {one.customer_id for one in meetings})
    book = await open_book(connection, held, [one.occurred_at for one in meetings])
    choices = [(meeting, book.choose(meeting)) for meeting in meetings]
    made = dict(zip(map(id, meetings), await make_contacts(transaction, choices), strict=True))
    silences = {id(meeting): choice.silence for meeting, choice in choices}
    return [
        visit if isinstance(visit, Refusal) else _presented(made[id(visit)], silences[id(visit)]) for visit in visits
    ]


async def foresee_silence(connection: Connection, command: PresentOffers) -> SilenceReason | None:
    """Why a visit would be shown nothing just now, or None; takes and locks nothing, so it promises nothing.

    Refuses an unknown touchpoint or way as presenting does.
    """
    known = await registry.load_touchpoints(connection, {command.touchpoint})
    meeting = _meeting(command, known)
    if isinstance(meeting, Refusal):
        raise meeting
    book = await open_book(connection, {command.customer_id}, [command.occurred_at])
    if not book.policy.room(book.situations[command.customer_id].contact_times, command.occurred_at):
        return SilenceReason.CAP_REACHED
    return book.choose(meeting).silence


async def open_book(connection: Connection, customer_ids: set[CustomerId], times: Iterable[datetime]) -> ContactBook:
    """What has to be known of these customers to choose contacts at these times."""
    policy = await registry.load_policy(connection)
    situations = {customer_id: Situation() for customer_id in customer_ids}
    moments = list(times)
    if not situations or not moments:
        return ContactBook(policy, situations)
    earliest, latest = min(moments), max(moments)
    for one in await opportunities.load_waiting(connection, customer_ids):
        situations[one.customer_id].waiting.append(one)
    made = await contacts.load_contact_times(connection, customer_ids, earliest - policy.window, latest + policy.window)
    for customer_id, contact_times in made.items():
        situations[customer_id].contact_times.extend(contact_times)
    refused = await contacts.load_refusal_times(connection, customer_ids, earliest - policy.cool_off)
    for customer_id, refusal_times in refused.items():
        situations[customer_id].refusal_times = refusal_times
    return ContactBook(policy, situations)


async def make_contacts(
    transaction: Transaction, choices: Sequence[tuple[Meeting, Choice]]
) -> list[tuple[Contact, ...]]:
    """Takes what was chosen, stores and tells the contacts; for each choice those that came to be, in its order.

    An opportunity that ended in this very moment is not won, and then nothing is shown in its place.
    """
    proposed = [
        [contact_from(one, ContactId(new_id()), meeting=meeting) for one in choice.taken] for meeting, choice in choices
    ]
    flat = [contact for group in proposed for contact in group]
    if not flat:
        return [() for _ in choices]
    won = await contacts.add_contacts(transaction.connection, flat, transaction.recorded_at)
    for contact in flat:
        if contact.contact_id in won:
            transaction.emit(ContactMade(contact, contact.occurred_at))
    return [tuple(contact for contact in group if contact.contact_id in won) for group in proposed]


def _meeting(command: PresentOffers, known: dict[TouchpointCode, Touchpoint]) -> Meeting | Refusal:
    touchpoint = known.get(command.touchpoint)
    if touchpoint is None:
        return TouchpointNotFound(f"no touchpoint {command.touchpoint!r}", touchpoint=command.touchpoint)
    try:
        way = touchpoint.way(command.delivery_way)
    except Refusal as refusal:
        return refusal
    return Meeting(command.customer_id, command.touchpoint, way, command.offers_max, command.occurred_at)


def _presented(made: tuple[Contact, ...], silence: SilenceReason | None) -> Presented:
    return Presented(made, None if made else silence or SilenceReason.NOTHING_WAITS)
