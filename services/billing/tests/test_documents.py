"""Documents: every word in every language, amounts and days as people write them, and no marks of callers."""

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from io import BytesIO
from threading import Event
from zoneinfo import ZoneInfo

import pytest
from billing.documents.html import html_of
from billing.documents.laying_out import Layout
from billing.documents.paper import Column, Paper, Row, Table
from billing.documents.pdf import pdf_of
from billing.documents.press import pressed
from billing.documents.words import Words, every_word
from billing.documents.writing import Language, write_day, write_instant, write_money
from billing.domain.bill import BillKind
from billing.domain.charge import ChargeCategory
from billing.domain.movement import MovementKind
from billing.domain.notice import NoticeLineKind
from billing.domain.reckoning import LineKind
from billing.domain.statement import Section, StatedEntry, Statement
from chassis.calendar import Span
from chassis.money import Money
from ledger import HOLD_EXPIRY, LOT_EXPIRY
from pypdf import PdfReader

from services.billing.tests.factories import an_account, cny

NASTY = """<script>alert(1)</script> & "quoted" 'single' {{ 7 * 7 }} <para> &lt;b&gt; 中文；『引号』"""


def a_paper(rows: int = 1, text: str = "TV") -> Paper:
    """A paper with a table."""
    columns = (Column("Time", 30), Column("What", 50), Column("Amount", 20, figures=True))
    table = Table("Charged", columns, (Row(("1 Mar", text, "¥1.00"), (text,)),) * rows, ("Sum", "¥1.00"))
    return Paper("en", text, ((text, text),), (text, "¥1.00"), (table,), (text,))


def a_statement(*, of: int, listed: int) -> Statement:
    """A closed month of so many charges of one fen each, of which some are listed."""
    start = datetime(2026, 3, 1, tzinfo=UTC)
    entries = tuple(
        StatedEntry(
            f"charge:{number}",
            "charge",
            cny(-1),
            cny(0),
            cny(100_00 - number),
            number,
            "TV",
            str(number),
            "",
            start,
            start,
            start,
        )
        for number in range(1, listed + 1)
    )
    return Statement(
        account=an_account(),
        span=Span(start, start + timedelta(days=31)),
        opening=cny(100_00),
        sections=(Section("charge", -of, of),),
        entries=entries,
        closed=True,
    )


def text_of(document: bytes) -> str:
    """The text that a reader sees, pages in their order."""
    return "\n".join(page.extract_text() for page in PdfReader(BytesIO(document)).pages)


def test_every_word_is_there_in_both_languages_with_the_same_parts() -> None:
    for key, (chinese, english) in every_word().items():
        assert chinese.strip(), key
        assert english.strip(), key
        assert sorted(re.findall(r"{(\w+)}", chinese)) == sorted(re.findall(r"{(\w+)}", english)), key


@pytest.mark.parametrize("language", Language)
def test_every_kind_has_words(language: Language) -> None:
    words = Words(language)
    kinds = (*MovementKind, *ChargeCategory, *BillKind, LOT_EXPIRY, HOLD_EXPIRY, "requested", "pending", "active")
    assert [kind for kind in kinds if words.topic(kind) == kind] == []
    assert all(words(kind) for kind in NoticeLineKind)
    parts = {"text": "VIP", "days": 17, "of_days": 30}
    assert all(words(f"line_{kind}", **parts) for kind in LineKind)


def test_a_kind_without_words_is_shown_by_its_name() -> None:
    assert Words(Language.CHINESE).topic("mystery") == "mystery"


@pytest.mark.parametrize(
    ("minor", "currency", "written"),
    [
        (0, "CNY", "¥0.00"),
        (-5, "CNY", "-¥0.05"),
        (123_456_789, "CNY", "¥1,234,567.89"),
        (10**12, "USD", "US$10,000,000,000.00"),
        (1500, "JPY", "JPY 1,500"),
        (-1500, "KWD", "-KWD 1.500"),
        (7, "XTS", "XTS 0.07"),
    ],
)
def test_amounts_have_their_currencys_sign_and_decimals(minor: int, currency: str, written: str) -> None:
    assert write_money(Money(minor, currency)) == written


def test_instants_are_the_operators() -> None:
    instant, shanghai = datetime(2026, 2, 28, 16, 5, tzinfo=UTC), ZoneInfo("Asia/Shanghai")
    assert write_instant(instant, Language.CHINESE, shanghai) == "2026年3月1日 00:05"
    assert write_instant(instant, Language.ENGLISH, ZoneInfo("UTC")) == "28 Feb 2026 16:05"
    assert write_day(date(2024, 2, 29), Language.ENGLISH) == "29 Feb 2024"


def test_what_callers_wrote_is_shown_and_never_understood() -> None:
    page = html_of(a_paper(text=NASTY)).decode()
    assert "<script" not in page.replace("&lt;script", "")
    assert "49" not in page
    assert page.count("{{ 7 * 7 }}") == 8
    shown = re.sub(r"\s+", "", text_of(pdf_of(a_paper(text=NASTY))))
    assert re.sub(r"\s+", "", NASTY) in shown


def test_a_long_table_goes_over_pages_with_its_titles_on_each() -> None:
    document = pdf_of(a_paper(rows=120))
    pages = PdfReader(BytesIO(document)).pages
    assert len(pages) > 2
    assert all("Amount" in page.extract_text() for page in pages)
    assert text_of(document).count("¥1.00") == 120 + 2


def test_a_row_that_is_longer_than_a_page_goes_over_pages_whole() -> None:
    paper = a_paper()
    coupons = tuple(f"Coupon {number} {'优惠' * 40}" for number in range(60))
    long = paper.tables[0]._replace(rows=(Row(("1 Mar", "TV", "¥1.00"), coupons), *paper.tables[0].rows))
    document = pdf_of(paper._replace(tables=(long,)))
    assert len(PdfReader(BytesIO(document)).pages) > 2
    shown = re.sub(r"\s+", "", text_of(document))
    assert [coupon for coupon in coupons if coupon.replace(" ", "") not in shown] == []


def test_the_same_paper_is_the_same_bytes() -> None:
    assert pdf_of(a_paper()) == pdf_of(a_paper())
    assert html_of(a_paper()) == html_of(a_paper())


async def test_documents_are_made_one_at_a_time_and_none_that_nobody_waits_for() -> None:
    going_on, began, made = Event(), Event(), list[str]()

    def make(name: str) -> bytes:
        made.append(name)
        began.set()
        assert going_on.wait(60)
        return name.encode()

    first = asyncio.create_task(pressed(partial(make, "first")))
    others = [asyncio.create_task(pressed(partial(make, name))) for name in ("given up", "last")]
    await asyncio.to_thread(began.wait, 60)
    assert made == ["first"], "the loop goes on, and the others wait"
    others[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await others[0]
    going_on.set()

    assert (await first, await others[1]) == (b"first", b"last")
    assert made == ["first", "last"]


@pytest.mark.parametrize("make", [html_of, pdf_of])
def test_a_statement_says_that_it_does_not_list_every_entry(make: Callable[[Paper], bytes]) -> None:
    shown = Layout(Language.ENGLISH, ZoneInfo("UTC")).statement(a_statement(of=1234, listed=2))
    text = (text_of(make(shown)) if make is pdf_of else make(shown).decode()).replace("\n", " ")

    assert "The first 2 of 1234 entries are listed" in text
    assert "-¥12.34" in text, "the sums are of all"
    assert "¥87.66" in text
    whole = Layout(Language.ENGLISH, ZoneInfo("UTC")).statement(a_statement(of=2, listed=2))
    assert whole.notes == ()


def test_the_pdf_names_its_font_and_carries_none() -> None:
    document = pdf_of(a_paper(text="缴费通知单"))
    assert b"STSong-Light" in document
    assert b"/FontFile" not in document
    assert len(document) < 10_000
    assert "缴费通知单" in text_of(document)
