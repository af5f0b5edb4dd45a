"""What of a customer is kept as documents: its persons, its lines and its accounts.

What is empty is left out, so that a document written before a field was known equals one written after.
"""

from datetime import date, datetime
from typing import Any

from sqlalchemy import Row

from member.domain.customer import (
    AccountLink,
    Customer,
    CustomerId,
    CustomerKind,
    HeldProduct,
    ManagerId,
    Person,
    PersonId,
    Subscriber,
    SubscriberId,
    SubscriberKind,
    SubscriberMark,
)

Document = dict[str, Any]


def profile_document(customer: Customer) -> Document:
    """The personal data: the name, and the persons."""
    return {"display_name": customer.display_name, "persons": [_person_document(each) for each in customer.persons]}


def subscribers_document(customer: Customer) -> list[Document]:
    """The service lines."""
    return [_line_document(line) for line in customer.subscribers]


def accounts_document(customer: Customer) -> list[Document]:
    """The accounts."""
    return [{"account_id": each.account_id, "role": each.role} for each in customer.accounts]


def customer_from_row(row: Row[Any]) -> Customer:
    """The customer from a row that has all columns of the table; one that was neither merged nor erased."""
    return Customer(
        customer_id=CustomerId(row.customer_id),
        kind=CustomerKind(row.kind),
        display_name=row.profile["display_name"],
        persons=tuple(_person(document) for document in row.profile["persons"]),
        subscribers=lines_from_document(row.subscribers),
        registered_at=row.registered_at,
        revision=row.revision,
        accounts=tuple(AccountLink(each["account_id"], each["role"]) for each in row.accounts),
        manager_id=None if row.manager_id is None else ManagerId(row.manager_id),
    )


def lines_from_document(documents: list[Document]) -> tuple[Subscriber, ...]:
    """The service lines that were kept."""
    return tuple(_line(document) for document in documents)


def _person_document(person: Person) -> Document:
    document: Document = {
        "person_id": person.person_id,
        "display_name": person.display_name,
        "role": person.role,
        "phone": person.phone,
        "email": person.email,
    }
    if person.birthday is not None:
        document["birthday"] = person.birthday.isoformat()
    if person.interests:
        document["interests"] = list(person.interests)
    return document


def _person(document: Document) -> Person:
    birthday = document.get("birthday")
    return Person(
        PersonId(document["person_id"]),
        document["display_name"],
        document["role"],
        document["phone"],
        document["email"],
        birthday=None if birthday is None else date.fromisoformat(birthday),
        interests=tuple(document.get("interests", ())),
    )


def _line_document(line: Subscriber) -> Document:
    document: Document = {
        "subscriber_id": line.subscriber_id,
        "kind": line.kind.value,
        "in_service_since": line.in_service_since.isoformat(),
    }
    if line.in_service_until is not None:
        document["in_service_until"] = line.in_service_until.isoformat()
    if line.products:
        document["products"] = [_product_document(product) for product in line.products]
    if line.marks:
        document["marks"] = [mark.value for mark in line.marks]
    return document


def _line(document: Document) -> Subscriber:
    return Subscriber(
        SubscriberId(document["subscriber_id"]),
        SubscriberKind(document["kind"]),
        datetime.fromisoformat(document["in_service_since"]),
        in_service_until=_instant(document.get("in_service_until")),
        products=tuple(_product(each) for each in document.get("products", ())),
        marks=tuple(SubscriberMark(mark) for mark in document.get("marks", ())),
    )


def _product_document(product: HeldProduct) -> Document:
    document: Document = {"product_code": product.product_code, "since": product.since.isoformat()}
    if product.until is not None:
        document["until"] = product.until.isoformat()
    return document


def _product(document: Document) -> HeldProduct:
    return HeldProduct(
        document["product_code"], datetime.fromisoformat(document["since"]), _instant(document.get("until"))
    )


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
