"""Usage: records are rated by their months, charged, and kept with what became of them.

What a record costs hangs on those before it, so a batch is worked out in its order before anything is booked, against
what its accounts have left. Where the ledger sees it otherwise in the end (gift credit had expired, others pay), the
batch as a whole is given up, and each record comes again by itself.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from chassis.calendar import Calendar
from chassis.errors import Refusal
from chassis.work import Transaction

from billing.domain.account import Account
from billing.domain.ids import AccountId, CustomerId
from billing.domain.movement import InsufficientBalance, Moved
from billing.domain.usage import Counter, CounterKey, UsageId, UsageRecord, UsageStanding, usage_not_found
from billing.store import Connection
from billing.store import reckoning as reckonings
from billing.store.charge_refund import charges_taken
from billing.store.price import prices_of
from billing.store.reservation import spendable_minor
from billing.store.usage import (
    Numbered,
    UsageFilter,
    add_usage,
    closed_months,
    find_charged,
    find_counters,
    find_usage,
    find_with_replaced,
    list_usage,
    put_counters,
)
from billing.use_cases.account import owned_account
from billing.use_cases.movement import apply_movements, lock_accounts
from billing.use_cases.payer import choose_payers
from billing.use_cases.rating import price_book
from billing.use_cases.refund_charge import Refunded, keep_refunds
from billing.use_cases.usage_batch import Decided, Scene, UsageBatch, month_of, months_turned, priced_under, versions_of


class Used(NamedTuple):
    """A record with what became of it, and its account after it; None where nothing was booked."""

    standing: UsageStanding
    moved: Moved | None = None


async def record_usage(
    transaction: Transaction, wanted: Sequence[UsageRecord], calendar: Calendar
) -> list[Used | Refusal]:
    """Rates, charges and keeps records; one that cannot be charged is kept as rejected, and says why. Refuses
    UsageIdReused, UsageNotFound, UsageReplaced, UsageWasRejected; each item alone."""
    accounts = await lock_accounts(transaction, {each.account_id for each in wanted}, with_payers=True)
    scene = await _scene(transaction.connection, wanted, accounts, calendar)
    batch = UsageBatch(scene, calendar)
    chosen = [batch.decide(each) for each in wanted]
    decided = await _borne(transaction, [each for each in chosen if isinstance(each, Decided)], accounts, calendar)
    movements = [movement for each in decided for movement in each.movements]
    outcomes = iter(await apply_movements(transaction, movements, calendar, accounts=accounts))
    booked = [[next(outcomes) for _ in each.movements] for each in decided]
    if refusal := next((outcome for each in booked for outcome in each if isinstance(outcome, Refusal)), None):
        if len(wanted) > 1 or not isinstance(refusal, InsufficientBalance):
            raise refusal
        decided = [decided[0].rejected(refusal)]
        await _keep(transaction, decided, {})
        return [Used(decided[0].standing)]
    moved = [[each for each in of_one if isinstance(each, Moved)] for of_one in booked]
    refunds = [
        Refunded(*each)
        for one, of_one in zip(decided, moved, strict=True)
        for each in zip(one.refunds, of_one, strict=False)
    ]
    await keep_refunds(transaction, refunds)
    await _keep(transaction, decided, batch.counters.changed)
    done = iter(
        [Used(each.standing, of_one[-1] if of_one else None) for each, of_one in zip(decided, moved, strict=True)]
    )
    return [
        next(done) if isinstance(each, Decided) else Used(each) if isinstance(each, UsageStanding) else each
        for each in chosen
    ]


async def get_usage(connection: Connection, usage_id: UsageId) -> UsageStanding:
    """Refuses UsageNotFound."""
    found = (await find_usage(connection, [usage_id])).get(usage_id)
    if found is None:
        raise usage_not_found(usage_id)
    return found


async def usage_page(
    connection: Connection, wanted: UsageFilter, customer_id: CustomerId | None, *, before: int | None, limit: int
) -> list[Numbered]:
    """At most `limit` of those below a number, newest first. Refuses AccountNotFound."""
    await owned_account(connection, wanted.account_id, customer_id)
    return await list_usage(connection, wanted, before=before, limit=limit)


async def _scene(
    connection: Connection, wanted: Sequence[UsageRecord], accounts: Mapping[AccountId, Account], calendar: Calendar
) -> Scene:
    """What the records' outcome hangs on, read behind the locks of their accounts."""
    replaced = await find_with_replaced(connection, {each.corrects for each in wanted if each.corrects})
    known = await find_usage(connection, {each.usage_id for each in wanted}) | replaced
    rated = [each for each in wanted if each.account_id in accounts]
    asked = {(each.product_id, accounts[each.account_id].currency, each.occurred_at) for each in rated}
    book = await price_book(connection, asked)
    priced = {each: found for each in rated if (found := priced_under(each, accounts[each.account_id], book, calendar))}
    corrected = [replaced[each.corrects] for each in rated if each.corrects in replaced]
    keys = {each.counted for each in corrected if each.counted} | {each.key for each in priced.values()}
    counters = await find_counters(connection, keys)
    months = {each.counted.line_month for each in replaced.values() if each.counted}
    months |= {found.key.line_month for each, found in priced.items() if each.corrects}
    charged = await find_charged(connection, months | months_turned(priced.values(), counters))
    behind = {charge_id for charges in charged.values() for charge_id in charges}
    behind |= {each.charge_id for each in replaced.values() if each.charge_id}
    return Scene(
        accounts=accounts,
        known=known,
        book=book,
        versions=await prices_of(connection, versions_of(corrected)),
        counters=counters,
        spendable_minor=await spendable_minor(
            connection, {each.account_id for each in rated if not accounts[each.account_id].has_payers}
        ),
        charges=await charges_taken(connection, behind),
        charged=charged,
        closed=await closed_months(connection, {month_of(each, calendar) for each in wanted}),
    )


async def _borne(
    transaction: Transaction, decided: Sequence[Decided], accounts: Mapping[AccountId, Account], calendar: Calendar
) -> list[Decided]:
    """With who pays for the charges, where others do."""
    bearings = [each.bearing for each in decided if each.bearing is not None]
    payers = iter(await choose_payers(transaction, accounts, bearings, calendar))
    return [each if each.bearing is None else each.paid_by(next(payers)) for each in decided]


async def _keep(transaction: Transaction, decided: Sequence[Decided], counters: Mapping[CounterKey, Counter]) -> None:
    """Records, how their charges came about, and where their months stand."""
    connection, recorded_at = transaction.connection, transaction.recorded_at
    await reckonings.add(connection, [each.reckoned for each in decided if each.reckoned], recorded_at)
    await add_usage(connection, [each.recorded for each in decided], recorded_at)
    await put_counters(connection, counters)
