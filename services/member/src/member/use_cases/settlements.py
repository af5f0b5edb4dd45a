"""What is settled with a merchant for a period, and the closing of periods that have ended."""

from dataclasses import dataclass
from datetime import datetime

from chassis.calendar import Calendar, Period, Span
from chassis.paging import Page
from chassis.work import Transaction

from member.domain.merchant import Merchant, MerchantNotFound
from member.domain.settlement import MerchantLine, Totals, period_at
from member.store import Connection, settlements
from member.use_cases.merchants import get_merchant, merchant_of

MERCHANTS_PER_ROUND = 50
SETTLED_BY = (Period.DAY, Period.WEEK, Period.MONTH, Period.QUARTER)


@dataclass(frozen=True, slots=True)
class SettlementAsked:
    """Whose settlement is asked for, and for which period. `subject` is that of a merchant's own token, None for an
    operator, who may ask for any merchant."""

    merchant_id: str
    subject: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Settlement:
    """A merchant's period with what its lines come to, and one page of them and one line more where there are more."""

    merchant: Merchant
    period: Span
    closed: bool
    totals: Totals
    lines: list[MerchantLine]


@dataclass(frozen=True, slots=True)
class Closed:
    """What one round of closing did: merchants looked at, and periods with lines that were closed."""

    merchants: int
    periods: int


async def get_settlement(
    connection: Connection, asked: SettlementAsked, page: Page, *, calendar: Calendar
) -> Settlement:
    """The settlement, open or closed. A merchant who asks for another, or for one that is none, gets
    MerchantNotFound."""
    merchant = await _asked_for(connection, asked)
    until = await settlements.closed_until(connection, merchant.merchant_id)
    period = await _period(connection, merchant, asked.at, (until, calendar))
    return Settlement(
        merchant,
        period,
        period.end <= until,
        await settlements.totals_of(connection, merchant.merchant_id, period),
        await settlements.list_lines(connection, merchant.merchant_id, period, after=page.after, limit=page.wanted),
    )


async def close_settlements(transaction: Transaction, as_of: datetime, *, calendar: Calendar) -> Closed:
    """Close, for one round of merchants, the first period with lines that has ended by an instant; nobody looked at
    means that nothing is left.

    A closed period takes no line any more: what comes late falls into the one that is open. Periods without lines are
    closed with it and leave no record.
    """
    horizons = {period: calendar.span(period, as_of).start for period in SETTLED_BY}
    found = await settlements.next_to_close(transaction.connection, horizons, most=MERCHANTS_PER_ROUND)
    closed = 0
    for merchant in found:
        closed += await _close_next(transaction, merchant, calendar)
    return Closed(len(found), closed)


async def _close_next(transaction: Transaction, merchant: settlements.ToClose, calendar: Calendar) -> int:
    connection, merchant_id = transaction.connection, merchant.merchant_id
    first = await settlements.first_open_line(connection, merchant_id)
    if first is None or first >= merchant.until:
        await settlements.save_closed_until(connection, merchant_id, merchant.until)
        return 0
    until = await settlements.closed_until(connection, merchant_id)
    kind = (await get_merchant(connection, merchant_id)).settlement_period
    period = period_at(calendar, kind, first, closed_until=until)
    await settlements.close_period(connection, merchant_id, period, recorded_at=transaction.recorded_at)
    await settlements.save_closed_until(connection, merchant_id, period.end)
    return 1


async def _asked_for(connection: Connection, asked: SettlementAsked) -> Merchant:
    if asked.subject is None:
        return await get_merchant(connection, asked.merchant_id)
    merchant = await merchant_of(connection, asked.subject)
    if asked.merchant_id not in ("", merchant.merchant_id):
        raise MerchantNotFound(asked.merchant_id)
    return merchant


async def _period(connection: Connection, merchant: Merchant, at: datetime, bounds: tuple[datetime, Calendar]) -> Span:
    """The closed period around an instant as it was closed, or the one that is open, or was closed without lines."""
    until, calendar = bounds
    closed = await settlements.closing_at(connection, merchant.merchant_id, at)
    if closed is not None:
        return closed
    if at >= until:
        return period_at(calendar, merchant.settlement_period, at, closed_until=until)
    span = calendar.span(merchant.settlement_period, at)
    gap = await settlements.gap_at(connection, merchant.merchant_id, at)
    return Span(max(span.start, gap.start), min(span.end, gap.end, until))
