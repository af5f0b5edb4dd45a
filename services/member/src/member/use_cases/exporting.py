"""Give everything that is known of a customer or of one person, as one document.

A room that keeps something beyond rows that name a customer or a membership adds its exporter to `EXPORTERS`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from member.domain.customer import EVERYBODY, Customer, CustomerId, PersonId, PersonNotFound
from member.store import Connection
from member.store import exporting as store
from member.store.customer_documents import accounts_document, profile_document, subscribers_document
from member.use_cases.customers import get_customer

Document = Mapping[str, object]
Exporter = Callable[[Connection, CustomerId], Awaitable[Document]]

EXPORTERS: Sequence[Exporter] = ()


async def export_customer(connection: Connection, customer_id: CustomerId, person_id: PersonId) -> Document:
    """What is known, a member for each kind of data. Refuses CustomerNotFound, CustomerMerged, CustomerErased and
    PersonNotFound."""
    customer = await get_customer(connection, customer_id)
    known = await store.known_as(connection, customer_id, person_id)
    tables = await store.export_tables(connection, known)
    members = [row["member_id"] for row in tables.get("members", [])]
    document: dict[str, object] = {
        "customer": _customer(customer) if person_id == EVERYBODY else _person(customer, person_id),
        **tables,
        "points": await store.export_points(connection, members),
    }
    if person_id == EVERYBODY:
        for export in EXPORTERS:
            document |= await export(connection, customer_id)
    return document


def _customer(customer: Customer) -> Document:
    return {
        "customer_id": customer.customer_id,
        "kind": customer.kind.value,
        **profile_document(customer),
        "subscribers": subscribers_document(customer),
        "accounts": accounts_document(customer),
        "manager_id": customer.manager_id,
        "registered_at": customer.registered_at.isoformat(),
        "revision": customer.revision,
    }


def _person(customer: Customer, person_id: PersonId) -> Document:
    for document in profile_document(customer)["persons"]:
        if document["person_id"] == person_id:
            return {"customer_id": customer.customer_id, **document}
    raise PersonNotFound(customer.customer_id, person_id)
