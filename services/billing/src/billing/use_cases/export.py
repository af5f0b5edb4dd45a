"""Export a closed day's books, portion by portion, to whatever writes them down."""

from datetime import date
from typing import Protocol

from chassis.paging import Page
from chassis.work import Transaction

from billing.domain.snapshot import BookDay, Export, ExportFile, day_from_text, day_not_closed
from billing.store import Connection
from billing.store.day_books import next_portion
from billing.store.export import DayRows, add_export, find_export, list_exports, rows_of_portion, rows_without_entries
from billing.store.snapshot import find_closed_day


class Writer(Protocol):
    """What writes rows down as files."""

    async def add(self, rows: DayRows) -> None:
        """Takes further rows."""

    async def finish(self) -> tuple[ExportFile, ...]:
        """Makes the files whole and lasting."""


async def check_closed(connection: Connection, day: date) -> BookDay:
    """The day, once it is closed. Refuses DayNotClosed."""
    closed = await find_closed_day(connection, day)
    if closed is None:
        raise day_not_closed(day)
    return closed


async def write_day(connection: Connection, day: date, writer: Writer) -> tuple[ExportFile, ...]:
    """Hands a day over to the writer. Refuses DayNotClosed."""
    closed = await check_closed(connection, day)
    portion = await next_portion(connection, closed, None)
    while portion is not None:
        await writer.add(await rows_of_portion(connection, portion))
        portion = await next_portion(connection, closed, portion.last)
    await writer.add(await rows_without_entries(connection, *closed.span))
    return await writer.finish()


async def exported(connection: Connection, day: date) -> Export | None:
    """The export of a day, where there is one."""
    return await find_export(connection, day)


async def keep_export(transaction: Transaction, day: date, files: tuple[ExportFile, ...]) -> Export:
    """Notes that a day was exported; the first export of a day is the one that is kept."""
    await add_export(transaction.connection, Export(day, files, transaction.recorded_at))
    kept = await find_export(transaction.connection, day)
    assert kept is not None, "was added just now or before"
    return kept


async def exports_page(connection: Connection, page: Page) -> list[Export]:
    """One more than the page holds, the newest day first."""
    before = day_from_text("page_token", page.after) if page.after is not None else None
    return list(await list_exports(connection, before=before, limit=page.wanted))
