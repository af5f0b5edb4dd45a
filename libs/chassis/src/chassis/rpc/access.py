"""Who may call a method: read from the option that stands beside the method in its proto. No option, no entry."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from touchstone.common.v1 import access_pb2

from chassis import clock
from chassis.auth import Caller
from chassis.errors import InvalidArgument, PermissionDenied
from chassis.times import from_proto


class ScopeMissing(PermissionDenied):
    """The caller holds none of the scopes that the method asks for."""

    def __init__(self, scopes: Iterable[str]) -> None:
        super().__init__(f"needs one of the scopes: {', '.join(sorted(scopes)) or 'none is admitted'}")


class NotYourCustomer(PermissionDenied):
    """A member asked for data that are not the member's own, or that do not exist: the answer is the same."""

    def __init__(self) -> None:
        super().__init__("a member's token reaches the member's own data only")


@dataclass(frozen=True, slots=True)
class AboutNow:
    """How far from the clock a member's own token may date what it does. Who chose the time freely would choose the
    day, too, on which a limit is counted or a rule holds."""

    back: timedelta = timedelta(hours=1)
    ahead: timedelta = timedelta(minutes=5)
    now: Callable[[], datetime] = clock.now

    def check_instant(self, field: str, instant: datetime) -> None:
        """Refuses, with InvalidArgument, an instant that is not about now."""
        now = self.now()
        if instant > now + self.ahead:
            raise InvalidArgument(field, f"must not lie more than {self.ahead.total_seconds():.0f} seconds ahead")
        if now - instant > self.back:
            raise InvalidArgument(field, f"must not lie more than {self.back.total_seconds():.0f} seconds back")


@dataclass(frozen=True, slots=True)
class Admission:
    """Who is admitted to one method, and which fields of its request date what it does."""

    scopes: frozenset[str]
    owner_field: str
    dated_by: tuple[str, ...] = ()

    def check_caller(self, caller: Caller) -> None:
        """Refuses a caller without a scope, and a member where there is nothing of a member's own."""
        if not caller.scopes & self.scopes:
            raise ScopeMissing(self.scopes)
        if caller.customer_id is not None and not self.owner_field:
            raise NotYourCustomer

    def check_owner(self, caller: Caller, request: Message) -> None:
        """Refuses a member whose request names another customer, or none."""
        if caller.customer_id is not None and getattr(request, self.owner_field) != caller.customer_id:
            raise NotYourCustomer

    def check_dates(self, caller: Caller, request: Message, about_now: AboutNow) -> None:
        """Refuses a member who dates what it does otherwise than about now. What is unset the method judges."""
        if caller.customer_id is not None:
            for name in self.dated_by:
                if request.HasField(name):
                    about_now.check_instant(name, from_proto(getattr(request, name), name))


def admission_of(method: MethodDescriptor) -> Admission:
    """The admission written beside a method; closed to everybody when nothing is written."""
    access = method.GetOptions().Extensions[access_pb2.access]
    return Admission(frozenset(access.scopes), access.owner_field, tuple(_dates_of(method.input_type)))


def _dates_of(request: Descriptor) -> list[str]:
    """What dates a call: `occurred_at`, and `as_of` where something is written; a read may ask about any time."""
    names = ["occurred_at", "as_of"] if "request_id" in request.fields_by_name else ["occurred_at"]
    return [
        name
        for name in names
        if (field := request.fields_by_name.get(name)) is not None and field.message_type is Timestamp.DESCRIPTOR
    ]
