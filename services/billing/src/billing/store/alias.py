"""Whose a provider's aliases of means of payment are: each is one customer's, from the first time it is stored until
nothing that lives names it.

The alias's own row is the lock under which that is decided: several accounts share it, so theirs are not enough.
"""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.ids import CustomerId
from billing.domain.top_up import Token

# Whoever is at the same alias is waited for; what is there stays as it is, and is locked.
_CLAIM = text("""
INSERT INTO payment_aliases (channel, provider_token, customer_id, recorded_at)
VALUES (:channel, :provider_token, :customer_id, :recorded_at)
ON CONFLICT (channel, provider_token) DO UPDATE SET customer_id = payment_aliases.customer_id
RETURNING customer_id
""")
# In two statements: what somebody stored while the lock was waited for is seen by the second alone.
_LOCK = text("""
SELECT FROM payment_aliases WHERE channel = :channel AND provider_token = :provider_token FOR UPDATE
""")
_RELEASE = text("""
DELETE FROM payment_aliases WHERE channel = :channel AND provider_token = :provider_token
  AND NOT EXISTS (SELECT FROM payment_tokens t WHERE t.channel = :channel AND t.provider_token = :provider_token
                  AND t.removed_at IS NULL)
""")


async def claim_alias(
    connection: AsyncConnection, token: Token, customer_id: CustomerId, recorded_at: datetime
) -> CustomerId:
    """Whose the alias is: the customer's who stored it first, this one where nobody has."""
    claimed = {**_key(token), "customer_id": customer_id, "recorded_at": recorded_at}
    return CustomerId((await connection.execute(_CLAIM, claimed)).scalar_one())


async def release_alias(connection: AsyncConnection, token: Token) -> None:
    """Lets the alias be another customer's, unless something that lives names it still."""
    await connection.execute(_LOCK, _key(token))
    await connection.execute(_RELEASE, _key(token))


def _key(token: Token) -> dict[str, object]:
    return {"channel": token.channel, "provider_token": token.provider_token}
