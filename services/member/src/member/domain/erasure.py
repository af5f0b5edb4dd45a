"""What is left of a customer, or of a person, whose personal data were erased."""

from dataclasses import dataclass
from datetime import datetime

from member.domain.customer import CustomerId, PersonId


@dataclass(frozen=True, slots=True)
class Erasure:
    """Whose data were erased, when (business time) and by whom; an empty person is the customer with everybody."""

    customer_id: CustomerId
    person_id: PersonId
    erased_at: datetime
    erased_by: str


@dataclass(frozen=True, slots=True)
class PersonalDataErased:
    """Effect: who keeps anything of the customer or the person drops it."""

    erasure: Erasure

    @property
    def aggregate_id(self) -> str:
        """The customer orders its facts."""
        return self.erasure.customer_id

    @property
    def occurred_at(self) -> datetime:
        """When it was asked for."""
        return self.erasure.erased_at
