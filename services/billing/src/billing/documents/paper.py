"""What a document consists of, whatever its form: facts, tables and notes, all of them texts already."""

from typing import NamedTuple


class Column(NamedTuple):
    """A column; figures are set to the right. `share` is its part of the page's width."""

    title: str
    share: int
    figures: bool = False


class Row(NamedTuple):
    """A row of cells. `details` stand below the cell of `DETAILED`, smaller."""

    cells: tuple[str, ...]
    details: tuple[str, ...] = ()


DETAILED = 1
"""The column that has words about the row."""


class Table(NamedTuple):
    """Rows below a title, with their sum where there is one."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    total: tuple[str, str] | None = None


class Paper(NamedTuple):
    """A document. `language` is a code of BCP 47, `highlight` what the reader is to see first."""

    language: str
    title: str
    facts: tuple[tuple[str, str], ...]
    highlight: tuple[str, str] | None
    tables: tuple[Table, ...]
    notes: tuple[str, ...]
