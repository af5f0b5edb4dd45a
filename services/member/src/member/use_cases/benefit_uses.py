"""Use quota benefits: reserve a place, use it or give it back; book reservations that ended by themselves."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.calendar import Calendar
from chassis.errors import InvalidArgument, Refusal
from chassis.paging import Page
from chassis.work import Transaction

from member.domain.benefit import BenefitId
from member.domain.benefit_use import (
    BenefitUse,
    BenefitUseKnown,
    BenefitUseNotFound,
    Option,
    QuotaBook,
    TakeBenefit,
    UseId,
    UseState,
    options_of,
)
from member.domain.customer import CustomerId
from member.store import Connection, benefits, entitlements
from member.use_cases.entitlements import refresh

RESERVATIONS_PER_ROUND = 500


@dataclass(frozen=True, slots=True)
class EndReservation:
    """Use what was reserved, or give the place back."""

    customer_id: CustomerId
    use_id: UseId
    state: UseState
    occurred_at: datetime


async def take_benefits(
    transaction: Transaction, commands: Sequence[TakeBenefit], calendar: Calendar
) -> list[BenefitUse | Refusal]:
    """Take places of quotas, one after the other; BenefitNotHeld, BenefitUsedUp, BenefitUseKnown.

    The customers' rows are locked, so that whoever else wants a place waits. What counts is the period around
    `occurred_at`, and the tier held now.
    """
    connection = transaction.connection
    known = await entitlements.states_for_update(connection, {command.customer_id for command in commands})
    options = [
        options_of(command, known[command.customer_id].state, calendar) if command.customer_id in known else []
        for command in commands
    ]
    book = QuotaBook(await _live(connection, options))
    outcomes: list[BenefitUse | Refusal] = [
        book.take(command, option) for command, option in zip(commands, options, strict=True)
    ]
    written = await benefits.insert_uses(connection, book.taken.values(), recorded_at=transaction.recorded_at)
    await benefits.end_uses(connection, book.expired.values())
    await refresh(transaction, {use.customer_id for use in (*book.taken.values(), *book.expired.values())})
    return [
        BenefitUseKnown(outcome.use_id)
        if isinstance(outcome, BenefitUse) and outcome.use_id not in written
        else outcome
        for outcome in outcomes
    ]


async def end_reservation(transaction: Transaction, command: EndReservation) -> BenefitUse:
    """Use what was reserved, or give the place back. BenefitUseNotFound also where it is another customer's;
    BenefitReservationExpired, BenefitUseEnded."""
    connection = transaction.connection
    await entitlements.states_for_update(connection, [command.customer_id])
    use = await benefits.find_use(connection, command.use_id)
    if use is None or use.customer_id != command.customer_id:
        raise BenefitUseNotFound(command.use_id)
    ended = use.end(command.state, command.occurred_at)
    await benefits.end_uses(connection, [ended])
    await refresh(transaction, [command.customer_id])
    return ended


async def expire_reservations(transaction: Transaction, as_of: datetime) -> int:
    """Book one round of the reservations that had ended by an instant; 0 when none is left."""
    connection = transaction.connection
    found = await benefits.expired_reservations(connection, as_of, most=RESERVATIONS_PER_ROUND)
    await entitlements.states_for_update(connection, {customer_id for _, customer_id in found})
    waiting = await benefits.find_uses(connection, [use_id for use_id, _ in found])
    expired = [use.expired() for use in waiting if use.state is UseState.RESERVED]
    await benefits.end_uses(connection, expired)
    await refresh(transaction, {use.customer_id for use in expired})
    return len(found)


async def list_uses(
    connection: Connection, customer_id: CustomerId, benefit_id: BenefitId | None, page: Page
) -> list[benefits.ListedUse]:
    """The customer's uses, newest first, one more than the page holds where there are more."""
    if page.after is not None and not (page.after.isascii() and page.after.isdigit() and len(page.after) < 19):
        raise InvalidArgument("page_token", "is not a token that a list call returned")
    before = int(page.after) if page.after is not None else None
    return await benefits.list_uses(connection, customer_id, benefit_id, before=before, limit=page.wanted)


async def _live(connection: Connection, options: Collection[Sequence[Option]]) -> list[BenefitUse]:
    places = {option.place for each in options for option in each}
    return await benefits.live_uses(connection, places) if places else []
