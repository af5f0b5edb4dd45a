"""A household or an enterprise, its persons and its service lines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

from chassis.errors import FieldViolation, InvalidArgument, NotFound

from member.domain.text import (
    MAX_NAME_CHARACTERS,
    MAX_ROLE_CHARACTERS,
    email_violations,
    line_violations,
    phone_violations,
)

CustomerId = NewType("CustomerId", str)
PersonId = NewType("PersonId", str)
SubscriberId = NewType("SubscriberId", str)

# The customer as a whole, where a person of it could stand too.
EVERYBODY = PersonId("")

MAX_PERSONS = 100
MAX_SUBSCRIBERS = 500


class CustomerNotFound(NotFound):
    """No customer has this id."""

    def __init__(self, customer_id: CustomerId) -> None:
        super().__init__("no customer has this id", customer_id=customer_id)


class PersonNotFound(NotFound):
    """The customer has no person with this id."""

    def __init__(self, customer_id: CustomerId, person_id: PersonId) -> None:
        super().__init__("the customer has no person with this id", customer_id=customer_id, person_id=person_id)


class CustomerKind(StrEnum):
    """What kind of customer it is."""

    HOUSEHOLD = "household"
    ENTERPRISE = "enterprise"


class SubscriberKind(StrEnum):
    """What a service line carries."""

    TV = "tv"
    BROADBAND = "broadband"
    MOBILE = "mobile"
    VALUE_ADDED = "value_added"


@dataclass(frozen=True, slots=True)
class Person:
    """A person of the household or enterprise; phone and email are empty where unknown."""

    person_id: PersonId
    display_name: str
    role: str
    phone: str
    email: str


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A service line."""

    subscriber_id: SubscriberId
    kind: SubscriberKind
    in_service_since: datetime


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer as BOSS knows it; `registered_at` is business time, `revision` rises with every change from 1."""

    customer_id: CustomerId
    kind: CustomerKind
    display_name: str
    persons: tuple[Person, ...]
    subscribers: tuple[Subscriber, ...]
    registered_at: datetime
    revision: int = 0


@dataclass(frozen=True, slots=True)
class ContactAddress:
    """Where to reach a customer; both ways are empty where nobody of the household left one."""

    display_name: str
    phone: str
    email: str


@dataclass(frozen=True, slots=True)
class CustomerRegistered:
    """State: the customer became known or changed. It carries no personal data, so that these live here alone."""

    customer_id: CustomerId
    kind: CustomerKind
    occurred_at: datetime
    revision: int

    @property
    def aggregate_id(self) -> str:
        """The customer orders its facts."""
        return self.customer_id


def check_customer(customer: Customer) -> None:
    """Refuses, with InvalidArgument and every fault at once, a customer that could not be shown or written to."""
    violations = list(_violations(customer))
    if violations:
        raise InvalidArgument.many(violations)


def contact_address(customer: Customer) -> ContactAddress:
    """The first person who has an address; the customer's own name and nothing else where nobody has one."""
    for person in customer.persons:
        if person.phone or person.email:
            return ContactAddress(person.display_name, person.phone, person.email)
    return ContactAddress(customer.display_name, "", "")


def _violations(customer: Customer) -> Iterator[FieldViolation]:
    yield from line_violations("customer.display_name", customer.display_name, most=MAX_NAME_CHARACTERS)
    yield from _count_violations("customer.persons", customer.persons, MAX_PERSONS)
    yield from _count_violations("customer.subscribers", customer.subscribers, MAX_SUBSCRIBERS)
    for index, person in enumerate(customer.persons):
        yield from _person_violations(f"customer.persons[{index}]", person)
    yield from _repeat_violations("customer.persons", "person_id", [person.person_id for person in customer.persons])
    yield from _repeat_violations(
        "customer.subscribers", "subscriber_id", [line.subscriber_id for line in customer.subscribers]
    )


def _person_violations(field: str, person: Person) -> Iterator[FieldViolation]:
    yield from line_violations(f"{field}.display_name", person.display_name, most=MAX_NAME_CHARACTERS)
    yield from line_violations(f"{field}.role", person.role, most=MAX_ROLE_CHARACTERS, optional=True)
    yield from phone_violations(f"{field}.phone", person.phone)
    yield from email_violations(f"{field}.email", person.email)


def _count_violations(field: str, items: Sequence[object], most: int) -> Iterator[FieldViolation]:
    if len(items) > most:
        yield FieldViolation(field, f"must have at most {most} items")


def _repeat_violations(field: str, name: str, ids: Sequence[str]) -> Iterator[FieldViolation]:
    seen: set[str] = set()
    for index, item in enumerate(ids):
        if item in seen:
            yield FieldViolation(f"{field}[{index}].{name}", "must not repeat within the customer")
        seen.add(item)
