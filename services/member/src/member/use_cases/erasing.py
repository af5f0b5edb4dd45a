"""Forget personal data, and leave the ledgers whole.

Memberships, points and what hangs on them stay under their ids; the names, addresses, birthdays and numbers that told
whose they are exist in one column each, which is emptied.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from chassis.errors import Refusal
from chassis.work import Transaction

from member.domain.consent import ERASURE
from member.domain.customer import EVERYBODY, CustomerErased, CustomerId, PersonId, PersonNotFound
from member.domain.erasure import Erasure, PersonalDataErased
from member.store import consents, customers
from member.store import erasing as store
from member.use_cases.consents import SayConsent, say_consents
from member.use_cases.managers import AssignManager, assign_managers


@dataclass(frozen=True, slots=True)
class EraseCustomer:
    """Forget the customer with everybody, or one person of it."""

    customer_id: CustomerId
    person_id: PersonId
    occurred_at: datetime
    by: str


async def erase_customer(transaction: Transaction, command: EraseCustomer) -> Erasure:
    """Erase, close the consents, and tell it, of those merged into the customer as well. What was erased before is
    answered as it was then, and not told again.

    Refuses CustomerNotFound, CustomerMerged, PersonNotFound, and CustomerErased for a person of an erased customer
    who had not been erased before.
    """
    connection, customer_id, person_id = transaction.connection, command.customer_id, command.person_id
    customer = (await customers.find_customers_for_update(connection, [customer_id]))[customer_id]
    before = await store.find_erasure(connection, customer_id, person_id)
    if before is not None and (isinstance(customer, CustomerErased) or person_id != EVERYBODY):
        return before
    if isinstance(customer, Refusal):
        raise customer
    if person_id != EVERYBODY and customer.person(person_id) is None:
        raise PersonNotFound(customer_id, person_id)
    await _close_consents(transaction, command)
    if person_id == EVERYBODY and customer.manager_id is not None:
        await _take_manager(transaction, command)
    erasure = Erasure(customer_id, person_id, command.occurred_at, command.by)
    await store.erase(connection, erasure, recorded_at=transaction.recorded_at)
    for each in [customer_id, *await _parts(transaction, command)]:
        transaction.emit(PersonalDataErased(replace(erasure, customer_id=each)))
    return erasure


async def _parts(transaction: Transaction, command: EraseCustomer) -> list[CustomerId]:
    """Whoever was merged into the customer is forgotten with it: others may keep things under those ids still."""
    if command.person_id != EVERYBODY:
        return []
    return await store.parts_of(transaction.connection, command.customer_id)


async def _close_consents(transaction: Transaction, command: EraseCustomer) -> None:
    """Withdraws what is given, each consent not before it was given.

    Persons whom BOSS put away meanwhile have nobody to speak for them, and nobody who is asked about them.
    """
    held = [each.said for each in await consents.all_consents(transaction.connection, [command.customer_id])]
    ends = [
        replace(
            said,
            given=False,
            channel=ERASURE,
            occurred_at=max(said.occurred_at, min(command.occurred_at, transaction.recorded_at)),
            said_by=command.by,
        )
        for said in held
        if said.given and command.person_id in (EVERYBODY, said.subject.person_id)
    ]
    await say_consents(transaction, [SayConsent(end) for end in ends])


async def _take_manager(transaction: Transaction, command: EraseCustomer) -> None:
    """Nobody looks after whom nobody knows; where the manager changed later than that, the history stays as it is."""
    await assign_managers(transaction, [AssignManager(command.customer_id, None, command.occurred_at, command.by)])
