"""Put customers into a manager's hands, and tell whose they are and were."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.errors import Refusal
from chassis.paging import Page
from chassis.work import Transaction

from member.domain.customer import Customer, CustomerId, ManagerId
from member.domain.manager import Assignment, AssignmentTooOld, ManagerAssigned
from member.store import Connection, customers
from member.store import managers as store
from member.use_cases.consents import number_of
from member.use_cases.customers import get_customer


@dataclass(frozen=True, slots=True)
class AssignManager:
    """Let the manager look after the customer from an instant on; nobody where it is None."""

    customer_id: CustomerId
    manager_id: ManagerId | None
    occurred_at: datetime
    by: str


async def assign_managers(transaction: Transaction, commands: Sequence[AssignManager]) -> list[Assignment | Refusal]:
    """Assign in order; assigning whom the customer has already changes nothing.

    Refuses AssignmentTooOld, and CustomerNotFound, CustomerMerged or CustomerErased.
    """
    connection = transaction.connection
    ids = {command.customer_id for command in commands}
    known = await customers.find_customers_for_update(connection, ids)
    last = await store.last_assignments(connection, ids)
    new: list[Assignment] = []
    outcomes: list[Assignment | Refusal] = []
    for command in commands:
        customer = known[command.customer_id]
        outcomes.append(customer if isinstance(customer, Refusal) else _assign(transaction, command, last, new))
    await store.insert_assignments(connection, new, recorded_at=transaction.recorded_at)
    return outcomes


async def list_managed(connection: Connection, manager_id: ManagerId, page: Page) -> list[Customer]:
    """The manager's customers by id, one more than the page holds where there are more."""
    only = customers.CustomerFilter(manager_id=manager_id)
    return await customers.list_customers(connection, only, after=page.after, limit=page.wanted)


async def list_manager_history(connection: Connection, customer_id: CustomerId, page: Page) -> list[Assignment]:
    """The customer's managers, newest first, one more than the page holds where there are more."""
    await get_customer(connection, customer_id)
    return await store.list_assignments(connection, customer_id, before=number_of(page), limit=page.wanted)


def _assign(
    transaction: Transaction, command: AssignManager, last: dict[CustomerId, Assignment], new: list[Assignment]
) -> Assignment | Refusal:
    """One assignment, after those of the batch before it."""
    before = last.get(command.customer_id)
    if before is not None and before.manager_id == command.manager_id:
        return before
    if before is not None and command.occurred_at < before.occurred_at:
        return AssignmentTooOld(command.customer_id, before.occurred_at)
    assignment = Assignment(
        command.customer_id,
        command.manager_id,
        command.occurred_at,
        command.by,
        revision=before.revision + 1 if before else 1,
        recorded_at=transaction.recorded_at,
    )
    last[command.customer_id] = assignment
    if before is None and command.manager_id is None:
        return assignment
    new.append(assignment)
    transaction.emit(ManagerAssigned(assignment))
    return assignment
