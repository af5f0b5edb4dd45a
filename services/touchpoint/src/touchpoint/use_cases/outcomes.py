"""Recording what became of contacts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.errors import Refusal
from chassis.work import Transaction

from touchpoint.domain.contact import Contact, ContactNotFound, Outcome, OutcomeNote, OutcomeRecorded
from touchpoint.domain.identity import ContactId, CustomerId
from touchpoint.store import contacts, opportunities


@dataclass(frozen=True, slots=True)
class RecordOutcome:
    """What became of a contact of this customer, and when (business time)."""

    contact_id: ContactId
    customer_id: CustomerId
    outcome: Outcome
    occurred_at: datetime


async def record_outcomes(transaction: Transaction, commands: Sequence[RecordOutcome]) -> list[Contact | Refusal]:
    """Appends each outcome and tells it; the contact as it then stands. Refuses a contact of somebody else.

    The customer is locked, so that a refusal and the next contact of its campaign cannot miss each other.
    """
    await opportunities.lock_customers_for_update(transaction.connection, {command.customer_id for command in commands})
    known = await contacts.load_contacts(transaction.connection, {command.contact_id for command in commands})
    answers: list[Contact | Refusal] = []
    notes: list[OutcomeNote] = []
    for command in commands:
        answer = _told(known.get(command.contact_id), command)
        answers.append(answer)
        if isinstance(answer, Contact):
            known[command.contact_id] = answer
            notes.append(OutcomeNote(command.contact_id, command.outcome, command.occurred_at))
            transaction.emit(OutcomeRecorded(answer, command.outcome, command.occurred_at))
    if notes:
        await contacts.add_outcomes(transaction.connection, notes, transaction.recorded_at)
    return answers


def _told(contact: Contact | None, command: RecordOutcome) -> Contact | Refusal:
    if contact is None or contact.customer_id != command.customer_id:
        return ContactNotFound(f"no contact {command.contact_id!r} of this customer", contact_id=command.contact_id)
    try:
        return contact.with_outcome(command.outcome, command.occurred_at)
    except Refusal as refusal:
        return refusal
