"""Grant an extra benefit to one customer for a time, take it back, and say who did so and why."""

from dataclasses import dataclass
from datetime import datetime

from chassis.errors import InvalidArgument
from chassis.ids import new_id
from chassis.paging import Page
from chassis.work import Transaction

from member.domain.benefit import Benefit
from member.domain.benefit_grant import MAX_GRANTS, Grant, GrantNotFound, TooManyGrants, grant_violations
from member.domain.customer import EVERYBODY, CustomerId, CustomerNotFound, PersonId, PersonNotFound
from member.domain.entitlement import GrantId
from member.domain.text import check_reason
from member.store import Connection, benefits, customers, entitlements
from member.use_cases.entitlements import refresh


@dataclass(frozen=True, slots=True)
class GrantBenefit:
    """Give one customer, or one person of it, a benefit from `starts_at` until `ends_at` (exclusive)."""

    customer_id: CustomerId
    person_id: PersonId
    benefit: Benefit
    starts_at: datetime
    ends_at: datetime
    reason: str
    granted_by: str

    def __post_init__(self) -> None:
        violations = list(grant_violations(self.benefit, self.starts_at, self.ends_at, self.reason))
        if violations:
            raise InvalidArgument.many(violations)


@dataclass(frozen=True, slots=True)
class RevokeBenefit:
    """Take a granted benefit back from an instant on."""

    customer_id: CustomerId
    grant_id: GrantId
    occurred_at: datetime
    reason: str
    revoked_by: str

    def __post_init__(self) -> None:
        check_reason("reason", self.reason)


async def grant_benefit(transaction: Transaction, command: GrantBenefit) -> Grant:
    """Grant the benefit; CustomerNotFound, PersonNotFound, TooManyGrants."""
    connection = transaction.connection
    existing = await customers.existing_persons(connection, [command.customer_id])
    if command.customer_id not in existing:
        raise CustomerNotFound(command.customer_id)
    if command.person_id != EVERYBODY and command.person_id not in existing[command.customer_id]:
        raise PersonNotFound(command.customer_id, command.person_id)
    await entitlements.make_rows(connection, [command.customer_id], recorded_at=transaction.recorded_at)
    await entitlements.states_for_update(connection, [command.customer_id])
    if await benefits.count_grants_after(connection, command.customer_id, command.starts_at) >= MAX_GRANTS:
        raise TooManyGrants(command.customer_id)
    grant = _grant(command, transaction.recorded_at)
    await benefits.insert_grant(connection, grant)
    await refresh(transaction, [command.customer_id])
    return grant


async def revoke_benefit(transaction: Transaction, command: RevokeBenefit) -> Grant:
    """Take the benefit back. GrantNotFound also where it is another customer's; GrantEnded."""
    connection = transaction.connection
    await entitlements.states_for_update(connection, [command.customer_id])
    grant = await benefits.find_grant(connection, command.grant_id)
    if grant is None or grant.customer_id != command.customer_id:
        raise GrantNotFound(command.grant_id)
    revoked = grant.revoked(command.occurred_at, reason=command.reason, by=command.revoked_by)
    await benefits.save_revocation(connection, revoked)
    await refresh(transaction, [command.customer_id])
    return revoked


async def list_grants(connection: Connection, customer_id: CustomerId, page: Page) -> list[Grant]:
    """The customer's grants, newest first, one more than the page holds where there are more."""
    return await benefits.list_grants(connection, customer_id, before=page.after, limit=page.wanted)


def _grant(command: GrantBenefit, recorded_at: datetime) -> Grant:
    return Grant(
        GrantId(new_id()),
        command.customer_id,
        command.person_id,
        command.benefit,
        command.starts_at,
        command.ends_at,
        command.reason,
        command.granted_by,
        recorded_at,
    )
