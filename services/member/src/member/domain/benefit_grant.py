"""Benefits that operators grant to one customer for a time, with who did it and why."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from chassis.errors import FieldViolation, NotFound, Refusal

from member.domain.benefit import Benefit, one_benefit_violations
from member.domain.customer import CustomerId, PersonId
from member.domain.entitlement import GrantId
from member.domain.text import MAX_REASON_CHARACTERS, line_violations

MAX_GRANTS = 50


class GrantNotFound(NotFound):
    """No grant of this customer has this id."""

    def __init__(self, grant_id: GrantId) -> None:
        super().__init__("the customer has no such grant", grant_id=grant_id)


class TooManyGrants(Refusal):
    """A customer has at most so many grants that have not ended when another one begins."""

    def __init__(self, customer_id: CustomerId) -> None:
        super().__init__(f"a customer has at most {MAX_GRANTS} grants at a time", customer_id=customer_id)


class GrantEnded(Refusal):
    """The grant was taken back before, or had ended by itself."""

    def __init__(self, grant_id: GrantId) -> None:
        super().__init__("the grant has ended", grant_id=grant_id)


@dataclass(frozen=True, slots=True)
class Grant:
    """An extra benefit from `starts_at` until `ends_at` (exclusive); it ends at `revoked_at` where it is taken back."""

    grant_id: GrantId
    customer_id: CustomerId
    person_id: PersonId
    benefit: Benefit
    starts_at: datetime
    ends_at: datetime
    reason: str
    granted_by: str
    recorded_at: datetime
    revoked_at: datetime | None = None
    revoke_reason: str = ""
    revoked_by: str = ""

    def revoked(self, at: datetime, *, reason: str, by: str) -> "Grant":
        """The grant, taken back from an instant on; GrantEnded."""
        if self.revoked_at is not None or at >= self.ends_at:
            raise GrantEnded(self.grant_id)
        return replace(self, revoked_at=at, revoke_reason=reason, revoked_by=by)


def grant_violations(benefit: Benefit, starts_at: datetime, ends_at: datetime, reason: str) -> Iterator[FieldViolation]:
    """What is wrong with a benefit that is to be granted for a time."""
    yield from one_benefit_violations("benefit", benefit)
    if ends_at <= starts_at:
        yield FieldViolation("ends_at", "must be after starts_at")
    yield from line_violations("reason", reason, most=MAX_REASON_CHARACTERS)
