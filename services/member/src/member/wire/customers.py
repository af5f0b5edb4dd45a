"""Customers, persons and service lines between protobuf and the domain."""

from chassis import times
from chassis.errors import InvalidArgument
from chassis.ids import check_id
from touchstone.member.v1 import customer_service_pb2 as customer_pb
from touchstone.member.v1 import member_pb2

from member.domain.customer import (
    ContactAddress,
    Customer,
    CustomerId,
    CustomerKind,
    Person,
    PersonId,
    Subscriber,
    SubscriberId,
    SubscriberKind,
)
from member.store.customers import PutCustomer
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
_CUSTOMER_KINDS_KNOWN = {value: kind for kind, value in _CUSTOMER_KINDS.items()}
_SUBSCRIBER_KINDS_KNOWN = {value: kind for kind, value in _SUBSCRIBER_KINDS.items()}


def customer_id_from_proto(customer_id: str) -> CustomerId:
    """A customer's id, or InvalidArgument naming customer_id."""
    return CustomerId(check_id("customer_id", customer_id))


def customer_kind_to_proto(kind: CustomerKind) -> member_pb2.CustomerKind.ValueType:
    """The kind as protobuf names it."""
    return _CUSTOMER_KINDS[kind]


def upsert_from_proto(request: customer_pb.UpsertCustomerRequest) -> UpsertCustomer:
    """The customer to put, or InvalidArgument naming every field that is wrong."""
    customer = request.customer
    kind = _CUSTOMER_KINDS_KNOWN.get(customer.kind)
    if kind is None:
        raise InvalidArgument("customer.kind", "must be household or enterprise")
    return UpsertCustomer(
        Customer(
            customer_id=CustomerId(check_id("customer.customer_id", customer.customer_id)),
            kind=kind,
            display_name=customer.display_name,
            persons=tuple(_person_from_proto(index, person) for index, person in enumerate(customer.persons)),
            subscribers=tuple(_subscriber_from_proto(index, line) for index, line in enumerate(customer.subscribers)),
            registered_at=times.from_proto(customer.registered_at, "customer.registered_at"),
        )
    )


def put_customer_to_proto(put: PutCustomer) -> customer_pb.UpsertCustomerResponse:
    """The customer as stored."""
    return customer_pb.UpsertCustomerResponse(customer=customer_to_proto(put.customer), created=put.created)


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
            )
            for person in customer.persons
        ],
        subscribers=[
            member_pb2.Subscriber(
                subscriber_id=line.subscriber_id,
                kind=_SUBSCRIBER_KINDS[line.kind],
                in_service_since=times.to_proto(line.in_service_since),
            )
            for line in customer.subscribers
        ],
        registered_at=times.to_proto(customer.registered_at),
        revision=customer.revision,
    )


def contact_address_to_proto(address: ContactAddress) -> customer_pb.GetContactAddressResponse:
    """Where to reach a customer."""
    return customer_pb.GetContactAddressResponse(
        display_name=address.display_name, phone=address.phone, email=address.email
    )


def _person_from_proto(index: int, person: member_pb2.Person) -> Person:
    return Person(
        person_id=PersonId(check_id(f"customer.persons[{index}].person_id", person.person_id)),
        display_name=person.display_name,
        role=person.role,
        phone=person.phone,
        email=person.email,
    )


def _subscriber_from_proto(index: int, line: member_pb2.Subscriber) -> Subscriber:
    field = f"customer.subscribers[{index}]"
    kind = _SUBSCRIBER_KINDS_KNOWN.get(line.kind)
    if kind is None:
        raise InvalidArgument(f"{field}.kind", "must be tv, broadband, mobile or value_added")
    return Subscriber(
        subscriber_id=SubscriberId(check_id(f"{field}.subscriber_id", line.subscriber_id)),
        kind=kind,
        in_service_since=times.from_proto(line.in_service_since, f"{field}.in_service_since"),
    )
