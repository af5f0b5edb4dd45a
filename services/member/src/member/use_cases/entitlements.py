"""Keep the one row for each customer that says what the customer is entitled to."""

from collections.abc import Collection

from chassis.work import Transaction

from member.domain.customer import CustomerId


async def refresh(transaction: Transaction, customer_ids: Collection[CustomerId]) -> None:
    """Bring the rows of these customers in line with their tiers, grants and uses."""
