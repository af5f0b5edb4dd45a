"""Gift credit: give it, take back what is left, look at it."""

from collections.abc import Sequence
from typing import NamedTuple

import ledger
from chassis.calendar import Calendar
from chassis.errors import Refusal
from chassis.ids import new_id
from chassis.work import Transaction

from billing.domain.account_facts import gift_granted, gift_revoked
from billing.domain.gift import Gift, GiftPlace, GrantGift, RevokeGift, gift_not_found, gift_used_up
from billing.domain.ids import AccountId, CustomerId
from billing.domain.movement import Moved
from billing.store import Connection
from billing.store import gift as store
from billing.use_cases.account import owned_account
from billing.use_cases.movement import apply_movements, lock_accounts


class Granted(NamedTuple):
    """A gift with the movement that gave it."""

    gift: Gift
    moved: Moved


async def grant_gifts(
    transaction: Transaction, wanted: Sequence[GrantGift], *, calendar: Calendar
) -> list[Granted | Refusal]:
    """Gives gift credit; each item alone. Refuses AccountNotFound and a wrong currency."""
    movements = [each.movement(new_id()) for each in wanted]
    outcomes = await apply_movements(transaction, movements, calendar)
    done = [
        outcome if isinstance(outcome, Refusal) else Granted(_gift(each, outcome), outcome)
        for each, outcome in zip(wanted, outcomes, strict=True)
    ]
    granted = [each for each in done if isinstance(each, Granted)]
    await store.add_gifts(transaction.connection, [each.gift for each in granted], transaction.recorded_at)
    for each in granted:
        transaction.emit(gift_granted(each.moved))
    return done


async def revoke_gift(transaction: Transaction, wanted: RevokeGift, *, calendar: Calendar) -> Granted:
    """Takes back what is left. Refuses GiftNotFound and GiftUsedUp."""
    connection = transaction.connection
    seen = (await store.find_gifts(connection, [wanted.gift_id])).get(wanted.gift_id)
    if seen is None:
        raise gift_not_found(wanted.gift_id)
    accounts = await lock_accounts(transaction, {seen.account_id})
    gift = (await store.find_gifts(connection, [wanted.gift_id]))[wanted.gift_id]
    movements = [wanted.movement(new_id(), gift)]
    (moved,) = await apply_movements(transaction, movements, calendar, accounts=accounts)
    if isinstance(moved, ledger.AlreadyReversed):
        raise gift_used_up(wanted.gift_id)
    if isinstance(moved, Refusal):
        raise moved
    if not moved.amount.minor_units:
        # What is left is known only once what has expired by then is booked.
        raise gift_used_up(wanted.gift_id)
    transaction.emit(gift_revoked(moved))
    return Granted(gift._replace(remaining=gift.remaining - moved.amount), moved)


async def gifts_page(
    connection: Connection,
    account_id: AccountId,
    customer_id: CustomerId | None,
    *,
    after: GiftPlace | None,
    limit: int,
) -> list[Gift]:
    """Gifts with something left, in the order in which they are spent. Refuses AccountNotFound."""
    account = await owned_account(connection, account_id, customer_id)
    return await store.open_gifts(connection, account, after=after, limit=limit)


def _gift(wanted: GrantGift, moved: Moved) -> Gift:
    (share,) = moved.shares
    return Gift(
        gift_id=moved.movement.transaction_id,
        account_id=wanted.account_id,
        lot=share.account_version,
        granted=wanted.amount,
        remaining=share.gift,
        terms=wanted.terms,
        reason=wanted.reason,
        granted_at=wanted.occurred_at,
    )
