"""Memberships of one customer that pay together."""

from dataclasses import dataclass

from chassis.errors import NotFound

from member.domain.customer import CustomerId
from member.domain.membership import MemberId
from member.domain.program import ProgramId

MAX_PAYERS = 100


class PoolNotFound(NotFound):
    """The customer has no pool in this program."""

    def __init__(self, customer_id: CustomerId, program_id: ProgramId) -> None:
        super().__init__("the customer has no pool in this program", customer_id=customer_id, program_id=program_id)


@dataclass(frozen=True, slots=True)
class Pool:
    """Who pays, the first first; nobody where it is dissolved. `revision` rises with every change from 1."""

    customer_id: CustomerId
    program_id: ProgramId
    payers: tuple[MemberId, ...]
    revision: int
