"""Who may call a method: read from the option that stands beside the method in its proto. No option, no entry."""

from collections.abc import Iterable
from dataclasses import dataclass

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from touchstone.common.v1 import access_pb2

from chassis.auth import Caller
from chassis.errors import PermissionDenied


class ScopeMissing(PermissionDenied):
    """The caller holds none of the scopes that the method asks for."""

    def __init__(self, scopes: Iterable[str]) -> None:
        super().__init__(f"needs one of the scopes: {', '.join(sorted(scopes)) or 'none is admitted'}")


class NotYourCustomer(PermissionDenied):
    """A member asked for data that are not the member's own, or that do not exist: the answer is the same."""

    def __init__(self) -> None:
        super().__init__("a member's token reaches the member's own data only")


@dataclass(frozen=True, slots=True)
class Admission:
    """Who is admitted to one method."""

    scopes: frozenset[str]
    owner_field: str

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


def admission_of(method: MethodDescriptor) -> Admission:
    """The admission written beside a method; closed to everybody when nothing is written."""
    access = method.GetOptions().Extensions[access_pb2.access]
    return Admission(frozenset(access.scopes), access.owner_field)
