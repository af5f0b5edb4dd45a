"""Customers, persons and service lines between protobuf and the domain."""

from collections.abc import Sequence
from datetime import date

from chassis import times
from chassis.errors import InvalidArgument
from chassis.ids import check_id
from touchstone.member.v1 import customer_service_pb2 as customer_pb
from touchstone.member.v1 import member_pb2

from member.domain.customer import (
    EVERYBODY,
    AccountLink,
    ContactAddress,
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
from member.store.customers import CustomerFilter, PutCustomer
from member.use_cases.customers import UpsertCustomer

_CUSTOMER_KINDS = {
    CustomerKind.HOUSEHOLD: member_pb2.CUSTOMER_KIND_HOUSEHOLD,
    CustomerKind.ENTERPRISE: member_pb2.CUSTOMER_KIND_ENTERPRISE,
}
_SUBSCRIBER_KINDS = {
    SubscriberKind.TV: member_pb2.SUBSCRIBER_KIND_TV,
    SubscriberKind.BROADBAND: member_pb2.SUBSCRIBER_KIND_BROADBAND,
    SubscriberKind.MOBILE: member_pb2.SUBSCRIBER_KIND_MOBILE,
    SubscriberKind.VALUE_ADDED: member_pb2.SUBSCRIBER_KIND_VALUE_ADDED,
}
_MARKS = {
    SubscriberMark.SPECIAL_NUMBER: member_pb2.SUBSCRIBER_MARK_SPECIAL_NUMBER,
    SubscriberMark.LONG_HELD: member_pb2.SUBSCRIBER_MARK_LONG_HELD,
}
_MARKS_KNOWN = {value: mark for mark, value in _MARKS.items()}
_CUSTOMER_KINDS_KNOWN = {value: kind for kind, value in _CUSTOMER_KINDS.items()}
_SUBSCRIBER_KINDS_KNOWN = {value: kind for kind, value in _SUBSCRIBER_KINDS.items()}


def customer_id_from_proto(customer_id: str, field: str = "customer_id") -> CustomerId:
    """A customer's id, or InvalidArgument naming the field."""
    return CustomerId(check_id(field, customer_id))


def person_id_from_proto(person_id: str, field: str = "person_id") -> PersonId:
    """A person's id, the customer as a whole where it is empty, or InvalidArgument naming the field."""
    return PersonId(check_id(field, person_id)) if person_id else EVERYBODY


def day_from_proto(field: str, day: str) -> date:
    """A day of the calendar, or InvalidArgument."""
    try:
        found = date.fromisoformat(day)
    except ValueError:
        found = None
    # The short form that Python reads too has another spelling of the same day.
    if found is None or found.isoformat() != day:
        raise InvalidArgument(field, 'must be a day, as "1990-02-28"')
    return found


def customer_kind_from_proto(field: str, kind: member_pb2.CustomerKind.ValueType) -> CustomerKind:
    """The kind, or InvalidArgument."""
    known = _CUSTOMER_KINDS_KNOWN.get(kind)
    if known is None:
        raise InvalidArgument(field, "must be household or enterprise")
    return known


def filter_from_proto(request: customer_pb.ListCustomersRequest) -> CustomerFilter:
    """Which customers to list, or InvalidArgument; what is not said lists all."""
    return CustomerFilter(
        kind=customer_kind_from_proto("kind", request.kind) if request.kind else None,
        manager_id=ManagerId(check_id("manager_id", request.manager_id)) if request.manager_id else None,
        service_kind=_subscriber_kind("service_kind", request.service_kind) if request.service_kind else None,
        registered_from=times.from_proto(request.registered_from, "registered_from")
        if request.HasField("registered_from")
        else None,
        registered_until=times.from_proto(request.registered_until, "registered_until")
        if request.HasField("registered_until")
        else None,
    )


def customer_kind_to_proto(kind: CustomerKind) -> member_pb2.CustomerKind.ValueType:
    """The kind as protobuf names it."""
    return _CUSTOMER_KINDS[kind]


def upsert_from_proto(request: customer_pb.UpsertCustomerRequest) -> UpsertCustomer:
    """The customer to put, or InvalidArgument naming every field that is wrong."""
    customer = request.customer
    kind = customer_kind_from_proto("customer.kind", customer.kind)
    return UpsertCustomer(
        Customer(
            customer_id=CustomerId(check_id("customer.customer_id", customer.customer_id)),
            kind=kind,
            display_name=customer.display_name,
            persons=tuple(_person_from_proto(index, person) for index, person in enumerate(customer.persons)),
            subscribers=tuple(_subscriber_from_proto(index, line) for index, line in enumerate(customer.subscribers)),
            registered_at=times.from_proto(customer.registered_at, "customer.registered_at"),
            accounts=tuple(_account_from_proto(index, account) for index, account in enumerate(customer.accounts)),
        )
    )


def put_customer_to_proto(put: PutCustomer) -> customer_pb.UpsertCustomerResponse:
    """What became of the put, without what the caller said itself: replies are kept, and personal data are not."""
    customer = put.customer
    kept = member_pb2.Customer(
        customer_id=customer.customer_id, revision=customer.revision, manager_id=customer.manager_id or ""
    )
    return customer_pb.UpsertCustomerResponse(customer=kept, created=put.created)


def complete(response: customer_pb.UpsertCustomerResponse, command: UpsertCustomer) -> None:
    """Puts what the caller said back into the reply; a repeat has the same body, and so gets the same reply."""
    kept = response.customer
    customer = customer_to_proto(command.customer)
    customer.revision, customer.manager_id = kept.revision, kept.manager_id
    kept.CopyFrom(customer)


def customer_to_proto(customer: Customer) -> member_pb2.Customer:
    """The customer with its persons and service lines."""
    return member_pb2.Customer(
        customer_id=customer.customer_id,
        kind=customer_kind_to_proto(customer.kind),
        display_name=customer.display_name,
        persons=[
            member_pb2.Person(
                person_id=person.person_id,
                display_name=person.display_name,
                role=person.role,
                phone=person.phone,
                email=person.email,
                birthday="" if person.birthday is None else person.birthday.isoformat(),
                interests=person.interests,
            )
            for person in customer.persons
        ],
        subscribers=[_subscriber_to_proto(line) for line in customer.subscribers],
        registered_at=times.to_proto(customer.registered_at),
        revision=customer.revision,
        accounts=[member_pb2.AccountLink(account_id=each.account_id, role=each.role) for each in customer.accounts],
        manager_id=customer.manager_id or "",
    )


def contact_address_to_proto(address: ContactAddress) -> customer_pb.GetContactAddressResponse:
    """Where to reach a customer."""
    return customer_pb.GetContactAddressResponse(
        display_name=address.display_name, phone=address.phone, email=address.email
    )


def _subscriber_to_proto(line: Subscriber) -> member_pb2.Subscriber:
    return member_pb2.Subscriber(
        subscriber_id=line.subscriber_id,
        kind=_SUBSCRIBER_KINDS[line.kind],
        in_service_since=times.to_proto(line.in_service_since),
        in_service_until=times.to_proto(line.in_service_until) if line.in_service_until else None,
        products=[
            member_pb2.HeldProduct(
                product_code=product.product_code,
                since=times.to_proto(product.since),
                until=times.to_proto(product.until) if product.until else None,
            )
            for product in line.products
        ],
        marks=[_MARKS[mark] for mark in line.marks],
    )


def _person_from_proto(index: int, person: member_pb2.Person) -> Person:
    field = f"customer.persons[{index}]"
    return Person(
        person_id=PersonId(check_id(f"{field}.person_id", person.person_id)),
        display_name=person.display_name,
        role=person.role,
        phone=person.phone,
        email=person.email,
        birthday=day_from_proto(f"{field}.birthday", person.birthday) if person.birthday else None,
        interests=tuple(person.interests),
    )


def _subscriber_from_proto(index: int, line: member_pb2.Subscriber) -> Subscriber:
    field = f"customer.subscribers[{index}]"
    return Subscriber(
        subscriber_id=SubscriberId(check_id(f"{field}.subscriber_id", line.subscriber_id)),
        kind=_subscriber_kind(f"{field}.kind", line.kind),
        in_service_since=times.from_proto(line.in_service_since, f"{field}.in_service_since"),
        in_service_until=times.from_proto(line.in_service_until, f"{field}.in_service_until")
        if line.HasField("in_service_until")
        else None,
        products=tuple(_product_from_proto(f"{field}.products[{n}]", each) for n, each in enumerate(line.products)),
        marks=_marks_from_proto(f"{field}.marks", line.marks),
    )


def _subscriber_kind(field: str, kind: member_pb2.SubscriberKind.ValueType) -> SubscriberKind:
    known = _SUBSCRIBER_KINDS_KNOWN.get(kind)
    if known is None:
        raise InvalidArgument(field, "must be tv, broadband, mobile or value_added")
    return known


def _product_from_proto(field: str, product: member_pb2.HeldProduct) -> HeldProduct:
    return HeldProduct(
        check_id(f"{field}.product_code", product.product_code),
        since=times.from_proto(product.since, f"{field}.since"),
        until=times.from_proto(product.until, f"{field}.until") if product.HasField("until") else None,
    )


def _marks_from_proto(field: str, marks: Sequence[member_pb2.SubscriberMark.ValueType]) -> tuple[SubscriberMark, ...]:
    if not all(mark in _MARKS_KNOWN for mark in marks):
        raise InvalidArgument(field, "must be special_number or long_held")
    return tuple(_MARKS_KNOWN[mark] for mark in marks)


def _account_from_proto(index: int, account: member_pb2.AccountLink) -> AccountLink:
    return AccountLink(check_id(f"customer.accounts[{index}].account_id", account.account_id), account.role)
