"""A household or an enterprise, its persons and its service lines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import NewType

from chassis.errors import FieldViolation, InvalidArgument, NotFound, Refusal

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
ManagerId = NewType("ManagerId", str)

# The customer as a whole, where a person of it could stand too.
EVERYBODY = PersonId("")

MAX_PERSONS = 100
MAX_SUBSCRIBERS = 500
MAX_ACCOUNTS = 100
MAX_PRODUCTS = 50
MAX_INTERESTS = 20
EARLIEST_BIRTHDAY = date(1880, 1, 1)


class CustomerNotFound(NotFound):
    """No customer has this id."""

    def __init__(self, customer_id: CustomerId) -> None:
        super().__init__("no customer has this id", customer_id=customer_id)


class PersonNotFound(NotFound):
    """The customer has no person with this id."""

    def __init__(self, customer_id: CustomerId, person_id: PersonId) -> None:
        super().__init__("the customer has no person with this id", customer_id=customer_id, person_id=person_id)


class CustomerMerged(Refusal):
    """The customer was merged into another, which the refusal names: ask for that one."""

    def __init__(self, customer_id: CustomerId, into: CustomerId) -> None:
        super().__init__("the customer was merged into another", customer_id=customer_id, merged_into=into)


class CustomerErased(Refusal):
    """The customer's personal data were erased; it is not put again."""

    def __init__(self, customer_id: CustomerId) -> None:
        super().__init__("the customer was erased", customer_id=customer_id)


class PersonErased(Refusal):
    """A person of the customer asked to be forgotten, and is not put again."""

    def __init__(self, customer_id: CustomerId, person_ids: Sequence[PersonId]) -> None:
        super().__init__(
            "a person of the customer was erased", customer_id=customer_id, person_ids=",".join(person_ids[:10])
        )


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


class SubscriberMark(StrEnum):
    """What makes a service line one to be honoured."""

    SPECIAL_NUMBER = "special_number"
    LONG_HELD = "long_held"


@dataclass(frozen=True, slots=True)
class Person:
    """A person of the household or enterprise; phone and email are empty where unknown."""

    person_id: PersonId
    display_name: str
    role: str
    phone: str
    email: str
    birthday: date | None = None
    interests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HeldProduct:
    """A package or another product that a line holds; `until` is exclusive, None while no end is known."""

    product_code: str
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A service line; `in_service_until` is exclusive, None while it is in service."""

    subscriber_id: SubscriberId
    kind: SubscriberKind
    in_service_since: datetime
    in_service_until: datetime | None = None
    products: tuple[HeldProduct, ...] = ()
    marks: tuple[SubscriberMark, ...] = ()

    def in_service_at(self, instant: datetime) -> bool:
        """Whether it was in service then."""
        return self.in_service_since <= instant and (self.in_service_until is None or instant < self.in_service_until)


@dataclass(frozen=True, slots=True)
class AccountLink:
    """An account of BOSS that pays for the customer, and what it is to it."""

    account_id: str
    role: str


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer as BOSS knows it; `registered_at` is business time, `revision` rises with every change from 1.

    The manager is no part of what BOSS puts: it is assigned here.
    """

    customer_id: CustomerId
    kind: CustomerKind
    display_name: str
    persons: tuple[Person, ...]
    subscribers: tuple[Subscriber, ...]
    registered_at: datetime
    revision: int = 0
    accounts: tuple[AccountLink, ...] = ()
    manager_id: ManagerId | None = None

    def person(self, person_id: PersonId) -> Person | None:
        """The person with this id, or None."""
        return next((person for person in self.persons if person.person_id == person_id), None)


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


def check_birthdays(customer: Customer, latest: date) -> None:
    """Refuses, with InvalidArgument, a birthday that has not come yet."""
    for index, person in enumerate(customer.persons):
        if person.birthday is not None and person.birthday > latest:
            raise InvalidArgument(f"customer.persons[{index}].birthday", "must not lie in the future")


def contact_address(customer: Customer, person_id: PersonId = EVERYBODY) -> ContactAddress:
    """The person's address, or PersonNotFound; without a person the first who has one, and where nobody has one the
    customer's own name and nothing else."""
    if person_id != EVERYBODY:
        named = customer.person(person_id)
        if named is None:
            raise PersonNotFound(customer.customer_id, person_id)
        return ContactAddress(named.display_name, named.phone, named.email)
    for person in customer.persons:
        if person.phone or person.email:
            return ContactAddress(person.display_name, person.phone, person.email)
    return ContactAddress(customer.display_name, "", "")


def _violations(customer: Customer) -> Iterator[FieldViolation]:
    yield from line_violations("customer.display_name", customer.display_name, most=MAX_NAME_CHARACTERS)
    yield from _count_violations("customer.persons", customer.persons, MAX_PERSONS)
    yield from _count_violations("customer.subscribers", customer.subscribers, MAX_SUBSCRIBERS)
    yield from _count_violations("customer.accounts", customer.accounts, MAX_ACCOUNTS)
    for index, person in enumerate(customer.persons):
        yield from _person_violations(f"customer.persons[{index}]", person)
    yield from _repeat_violations("customer.persons", "person_id", [person.person_id for person in customer.persons])
    for index, line in enumerate(customer.subscribers):
        yield from _line_violations(f"customer.subscribers[{index}]", line)
    yield from _repeat_violations(
        "customer.subscribers", "subscriber_id", [line.subscriber_id for line in customer.subscribers]
    )
    for index, account in enumerate(customer.accounts):
        yield from line_violations(f"customer.accounts[{index}].role", account.role, most=MAX_ROLE_CHARACTERS)
    yield from _repeat_violations("customer.accounts", "account_id", [each.account_id for each in customer.accounts])


def _person_violations(field: str, person: Person) -> Iterator[FieldViolation]:
    yield from line_violations(f"{field}.display_name", person.display_name, most=MAX_NAME_CHARACTERS)
    yield from line_violations(f"{field}.role", person.role, most=MAX_ROLE_CHARACTERS, optional=True)
    yield from phone_violations(f"{field}.phone", person.phone)
    yield from email_violations(f"{field}.email", person.email)
    if person.birthday is not None and person.birthday < EARLIEST_BIRTHDAY:
        yield FieldViolation(f"{field}.birthday", f"must not lie before {EARLIEST_BIRTHDAY}")
    yield from _count_violations(f"{field}.interests", person.interests, MAX_INTERESTS)
    for index, interest in enumerate(person.interests):
        yield from line_violations(f"{field}.interests[{index}]", interest, most=MAX_ROLE_CHARACTERS)


def _line_violations(field: str, line: Subscriber) -> Iterator[FieldViolation]:
    if line.in_service_until is not None and line.in_service_until <= line.in_service_since:
        yield FieldViolation(f"{field}.in_service_until", "must be after in_service_since")
    yield from _count_violations(f"{field}.products", line.products, MAX_PRODUCTS)
    for index, product in enumerate(line.products):
        if product.until is not None and product.until <= product.since:
            yield FieldViolation(f"{field}.products[{index}].until", "must be after since")
    if len(set(line.marks)) < len(line.marks):
        yield FieldViolation(f"{field}.marks", "must not repeat")


def _count_violations(field: str, items: Sequence[object], most: int) -> Iterator[FieldViolation]:
    if len(items) > most:
        yield FieldViolation(field, f"must have at most {most} items")


def _repeat_violations(field: str, name: str, ids: Sequence[str]) -> Iterator[FieldViolation]:
    seen: set[str] = set()
    for index, item in enumerate(ids):
        if item in seen:
            yield FieldViolation(f"{field}[{index}].{name}", "must not repeat within the customer")
        seen.add(item)
