"""Papers as PDF, on A4.

The Chinese font is named and not embedded (STSong-Light of Adobe's Asian fonts, with the encoding UniGB-UCS2-H): every
viewer has one to put in its place, and no font file travels with the service. English papers use it as well where a
name or a description has letters beyond Latin.
"""

from collections.abc import Iterator
from io import BytesIO
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer
from reportlab.platypus import Table as Grid

from billing.documents.paper import DETAILED, Paper, Row, Table

_FONT = "STSong-Light"
_MARGIN = 18 * mm
_WIDTH = A4[0] - 2 * _MARGIN
_GREY = colors.HexColor("#666666")
_BASE = ParagraphStyle("base", fontName=_FONT, fontSize=9, leading=13, wordWrap="CJK")
_FIGURES = ParagraphStyle("figures", parent=_BASE, alignment=TA_RIGHT)
_SMALL = ParagraphStyle("small", parent=_BASE, fontSize=7.5, leading=10, textColor=_GREY)
_TITLE = ParagraphStyle("title", parent=_BASE, fontSize=18, leading=26, spaceAfter=4 * mm)
_HEADING = ParagraphStyle("heading", parent=_BASE, fontSize=11, leading=16, spaceBefore=5 * mm, spaceAfter=1 * mm)
_LOUD = ParagraphStyle("loud", parent=_BASE, fontSize=13, leading=18)
_LOUD_FIGURES = ParagraphStyle("loud figures", parent=_LOUD, alignment=TA_RIGHT)
_LINED = [
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("LINEBELOW", (0, 0), (-1, -1), 0.25, colors.lightgrey),
    ("LINEBELOW", (0, 0), (-1, 0), 1, colors.black),
    ("LEFTPADDING", (0, 0), (-1, -1), 2),
    ("RIGHTPADDING", (0, 0), (-1, -1), 2),
    ("TOPPADDING", (0, 0), (-1, -1), 1.5),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
]
_BOXED = [("BOX", (0, 0), (-1, -1), 1.2, colors.black), ("BOTTOMPADDING", (0, 0), (-1, -1), 6)]
_PLAIN = [
    ("LEFTPADDING", (0, 0), (-1, -1), 0),
    ("TOPPADDING", (0, 0), (-1, -1), 0),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 0),
]

pdfmetrics.registerFont(UnicodeCIDFont(_FONT))


def pdf_of(paper: Paper) -> bytes:
    """The same paper is the same bytes, whenever it is made."""
    buffer = BytesIO()
    template = SimpleDocTemplate(
        buffer,
        pagesize=A4,
        leftMargin=_MARGIN,
        rightMargin=_MARGIN,
        topMargin=_MARGIN,
        bottomMargin=_MARGIN,
        title=paper.title,
        lang=paper.language,
        invariant=1,
    )
    template.build(list(_flowables(paper)), onFirstPage=_number, onLaterPages=_number)
    return buffer.getvalue()


def _flowables(paper: Paper) -> Iterator[Flowable]:
    yield _text(paper.title, _TITLE)
    yield Grid(
        [[_text(label, _SMALL), _text(value)] for label, value in paper.facts],
        colWidths=[_WIDTH * 0.22, _WIDTH * 0.78],
        style=_PLAIN,
    )
    if paper.highlight is not None:
        label, value = paper.highlight
        yield Spacer(0, 4 * mm)
        yield Grid([[_text(label, _LOUD), _text(value, _LOUD_FIGURES)]], colWidths=[_WIDTH / 2] * 2, style=_BOXED)
    for table in paper.tables:
        yield _text(table.title, _HEADING)
        yield _grid(table)
    yield Spacer(0, 6 * mm)
    for note in paper.notes:
        yield _text(note, _SMALL)


def _grid(table: Table) -> Grid:
    """Rows that go over pages, with their titles repeated on each."""
    figures = [column.figures for column in table.columns]
    rows = [[_cell(column.title, column.figures) for column in table.columns]]
    rows += [_row(row, figures) for row in table.rows]
    if table.total is not None:
        label, value = table.total
        rows.append([_text(label), *[_text("")] * (len(figures) - 2), _cell(value, figures=True)])
    whole = sum(column.share for column in table.columns)
    return Grid(
        rows,
        colWidths=[_WIDTH * column.share / whole for column in table.columns],
        style=_LINED,
        repeatRows=1,
        splitInRow=1,
    )


def _row(row: Row, figures: list[bool]) -> list[object]:
    cells: list[object] = [_cell(text, right) for text, right in zip(row.cells, figures, strict=True)]
    if row.details:
        cells[DETAILED] = [cells[DETAILED], *(_text(detail, _SMALL) for detail in row.details)]
    return cells


def _cell(text: str, figures: bool) -> Paragraph:
    return _text(text, _FIGURES if figures else _BASE)


def _text(text: str, style: ParagraphStyle = _BASE) -> Paragraph:
    """Reportlab reads marks in texts: they are escaped."""
    return Paragraph(escape(text), style)


def _number(canvas: Canvas, template: SimpleDocTemplate) -> None:
    canvas.setFont(_FONT, 8)
    canvas.drawCentredString(A4[0] / 2, 10 * mm, str(template.page))
