"""Putting touchpoints and the policy of contacts."""

from chassis.work import Transaction

from touchpoint.domain.policy import ContactPolicy
from touchpoint.domain.touchpoint import Touchpoint, TouchpointIdFixed, TouchpointIdTaken
from touchpoint.store import registry


async def put_touchpoint(transaction: Transaction, touchpoint: Touchpoint) -> Touchpoint:
    """Adds or changes a touchpoint. Its stable identifier is its own and stays as it is."""
    for stored in await registry.load_touchpoint_of_id_for_update(
        transaction.connection, touchpoint.code, touchpoint.touchpoint_id
    ):
        if stored.code != touchpoint.code:
            raise TouchpointIdTaken(f"{touchpoint.touchpoint_id} is the identifier of {stored.code}", code=stored.code)
        if stored.touchpoint_id != touchpoint.touchpoint_id:
            raise TouchpointIdFixed(f"{stored.code} is {stored.touchpoint_id} for good", code=stored.code)
    await registry.save_touchpoint(transaction.connection, touchpoint, transaction.recorded_at)
    return touchpoint


async def put_contact_policy(transaction: Transaction, policy: ContactPolicy) -> ContactPolicy:
    """Puts the policy; it holds for every contact decided after this transaction."""
    await registry.save_policy(transaction.connection, policy, transaction.recorded_at)
    return policy
