"""Who of the operator's staff looks after a customer."""

from dataclasses import dataclass
from datetime import datetime

from chassis.errors import Refusal

from member.domain.customer import CustomerId, ManagerId


class AssignmentTooOld(Refusal):
    """A customer's managers follow one another: none is assigned from before the last change."""

    def __init__(self, customer_id: CustomerId, last: datetime) -> None:
        super().__init__(
            "the customer's manager changed later than that", customer_id=customer_id, last=last.isoformat()
        )


@dataclass(frozen=True, slots=True)
class Assignment:
    """Who looks after a customer from an instant on (business time); None is nobody. `revision` is dense from 1."""

    customer_id: CustomerId
    manager_id: ManagerId | None
    occurred_at: datetime
    assigned_by: str
    revision: int
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class ManagerAssigned:
    """State: who looks after a customer from now on."""

    assignment: Assignment

    @property
    def aggregate_id(self) -> str:
        """The customer orders its facts."""
        return self.assignment.customer_id

    @property
    def occurred_at(self) -> datetime:
        """Since when."""
        return self.assignment.occurred_at
