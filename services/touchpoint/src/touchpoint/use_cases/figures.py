"""Figures over all contacts, and the claims that the service can prove on its own data."""

from collections.abc import Sequence

from chassis.proof import Check

from touchpoint.domain.figures import ContactFigures
from touchpoint.domain.opportunity import OpportunityState
from touchpoint.store import Connection, contacts, opportunities, registry


async def read_contact_figures(connection: Connection) -> ContactFigures:
    """Counts on one snapshot; the fullest window is one of the policy that holds now."""
    counts = await opportunities.count_opportunities(connection)
    policy = await registry.load_policy(connection)
    return ContactFigures(
        opportunities=sum(counts.values()),
        open=counts.get(OpportunityState.OPEN, 0),
        taken=counts.get(OpportunityState.TAKEN, 0),
        expired=counts.get(OpportunityState.EXPIRED, 0),
        touchpoints=await contacts.count_contacts(connection),
        contacts_in_window_max=await contacts.count_in_window_max(connection, policy.window),
        shown_twice=await contacts.count_shown_twice(connection),
        customers_contacted=await contacts.count_customers_contacted(connection),
    )


async def prove_contacts(connection: Connection) -> Sequence[Check]:
    """Each offer was shown once, and an opportunity is taken exactly when it has its contact."""
    examined = sum((await opportunities.count_opportunities(connection)).values())
    twice = await contacts.count_shown_twice(connection)
    torn = await contacts.list_torn(connection, 10)
    return (
        Check("no opportunity has more than one contact", twice == 0, examined),
        Check("an opportunity is taken exactly when it has a contact", not torn, examined, tuple(torn)),
    )
