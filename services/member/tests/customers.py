"""Customers in full, consents, merges and erasures as steps of their own, and where a word stands in a database."""

from datetime import UTC, date, datetime
from typing import Any

from chassis.errors import Refusal
from chassis.ids import new_id
from chassis.times import to_proto
from chassis.work import Work
from member.domain.consent import Consent, Said, Subject
from member.domain.customer import (
    AccountLink,
    Customer,
    CustomerId,
    HeldProduct,
    ManagerId,
    PersonId,
    Subscriber,
    SubscriberId,
    SubscriberKind,
    SubscriberMark,
)
from member.domain.erasure import Erasure
from member.domain.manager import Assignment
from member.domain.merge import Merged
from member.store import METADATA
from member.use_cases.consents import SayConsent, check_consents, say_consents
from member.use_cases.erasing import EraseCustomer, erase_customer
from member.use_cases.managers import AssignManager, assign_managers
from member.use_cases.merging import MergeCustomers, merge_customers
from touchstone.member.v1 import consent_service_pb2 as consent_pb
from touchstone.member.v1 import customer_service_pb2 as customer_pb

from services.member.tests.factories import JANUARY, customer, day, person, scalar

SMS = "marketing_sms"
BIRTHDAY = date(1987, 6, 5)


def mobile(number: int = 1, **changes: Any) -> Subscriber:
    """A mobile line of 2016."""
    values: dict[str, Any] = {"in_service_since": datetime(2016, 3, 1, tzinfo=UTC)}
    return Subscriber(SubscriberId(f"m-{number}"), SubscriberKind.MOBILE, **values | changes)


def full_customer(customer_id: str = "c-1", **changes: Any) -> Customer:
    """A household with everything that can be known of one."""
    values: dict[str, Any] = {
        "persons": (person(birthday=BIRTHDAY, interests=("football", "opera")), person("p-2", display_name="Wang Jun")),
        "subscribers": (
            mobile(marks=(SubscriberMark.SPECIAL_NUMBER,)),
            Subscriber(
                SubscriberId("s-1"),
                SubscriberKind.TV,
                JANUARY,
                in_service_until=day(400),
                products=(HeldProduct("basic", JANUARY), HeldProduct("sports", JANUARY, day(30))),
            ),
        ),
        "accounts": (AccountLink("a-1", "payer"), AccountLink("a-2", "guarantor")),
    }
    return customer(customer_id, **values | changes)


def said(*, given: bool = True, on: int = 1, person_id: str = "", **changes: Any) -> SayConsent:
    """A word about marketing by SMS."""
    values: dict[str, Any] = {"text_version": "v1" if given else "", "channel": "app", "said_by": "boss"}
    subject = Subject(CustomerId(changes.pop("customer_id", "c-1")), PersonId(person_id), changes.pop("purpose", SMS))
    return SayConsent(Said(subject, given, occurred_at=day(on), **values | changes))


async def say(work: Work, *commands: SayConsent) -> list[Consent | Refusal]:
    """Words said in one transaction."""
    return await work.run(lambda transaction: say_consents(transaction, commands))


async def agreed(work: Work, *subjects: Subject, on: int | None = None) -> list[str | None]:
    """The texts agreed to, now or on a day."""
    async with work.reading() as connection:
        return await check_consents(connection, subjects, as_of=None if on is None else day(on))


async def assign(work: Work, manager_id: str | None, *, customer_id: str = "c-1", on: int = 1) -> Assignment | Refusal:
    """A manager assigned, or taken away."""
    command = AssignManager(CustomerId(customer_id), ManagerId(manager_id) if manager_id else None, day(on), "boss")
    return (await work.run(lambda transaction: assign_managers(transaction, [command])))[0]


def merging(customer_id: str = "c-1", merged_id: str = "c-2", *, on: int = 10, **moves: Any) -> MergeCustomers:
    """What to merge; persons are named p_1 for p-1."""
    named = tuple((PersonId(old.replace("_", "-")), PersonId(new)) for old, new in moves.items())
    return MergeCustomers(CustomerId(customer_id), CustomerId(merged_id), named, day(on), "boss")


async def merge(work: Work, *commands: MergeCustomers) -> list[Merged | Refusal]:
    """Customers merged in one transaction."""
    return await work.run(lambda transaction: merge_customers(transaction, commands))


async def erase(work: Work, customer_id: str = "c-1", person_id: str = "", *, on: int = 20) -> Erasure:
    """Personal data erased."""
    command = EraseCustomer(CustomerId(customer_id), PersonId(person_id), day(on), "boss")
    return await work.run(lambda transaction: erase_customer(transaction, command))


async def tables_with(work: Work, *words: str) -> set[str]:
    """The tables in whose rows one of the words stands, as text or inside of bytes."""
    patterns = [f"%{form}%" for word in words for form in (word, word.encode().hex())]
    return {
        table
        for table in METADATA.tables
        if await scalar(work, f"SELECT count(*) FROM {table} AS kept WHERE kept::text ILIKE ANY(:all)", all=patterns)
    }


def consent_request(kind: Any = consent_pb.GiveConsentRequest, customer_id: str = "c-1", **changes: Any) -> Any:
    """A request that says yes or no."""
    values: dict[str, Any] = {
        "request_id": new_id(),
        "purpose": SMS,
        "channel": "app",
        "occurred_at": to_proto(day(1)),
    }
    if kind is consent_pb.GiveConsentRequest:
        values["text_version"] = "v1"
    return kind(customer_id=customer_id, **values | changes)


def merge_request(
    customer_id: str = "c-1", merged_id: str = "c-2", **changes: Any
) -> customer_pb.MergeCustomersRequest:
    """A request that merges."""
    values: dict[str, Any] = {"request_id": new_id(), "occurred_at": to_proto(day(10))}
    return customer_pb.MergeCustomersRequest(customer_id=customer_id, merged_customer_id=merged_id, **values | changes)


def erase_request(customer_id: str = "c-1", **changes: Any) -> customer_pb.EraseCustomerRequest:
    """A request that erases."""
    values: dict[str, Any] = {"request_id": new_id(), "occurred_at": to_proto(day(20))}
    return customer_pb.EraseCustomerRequest(customer_id=customer_id, **values | changes)
