"""Payment notices: worked out of the tables, line by line, against everything that the tables have."""

import random
from collections.abc import Mapping
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from chassis import clock
from chassis.testing.serving import Serving
from chassis.times import to_proto
from pypdf import PdfReader
from touchstone.billing.v1 import account_service_pb2 as account_pb
from touchstone.billing.v1 import bill_service_pb2 as bill_pb
from touchstone.billing.v1 import billing_pb2, notice_pb2
from touchstone.billing.v1 import charging_service_pb2 as charging_pb
from touchstone.billing.v1 import notice_service_pb2 as pb

from services.billing.tests.calls import Calls, boss, charged, cny, member, opened, paid, put_plan, recharged, refused
from services.billing.tests.factories import ACCOUNT, CUSTOMER

KIND = notice_pb2.NoticeLineKind
OPEN = billing_pb2.BILL_STATE_OPEN


@pytest.fixture
def settings() -> Mapping[str, Any]:
    """Days are closed where the test says so, and not by themselves."""
    return {"timed_work": False}


def asked(**changed: Any) -> pb.GetPaymentNoticeRequest:
    """Asks for the account's notice, in English."""
    return pb.GetPaymentNoticeRequest(**{"account_id": ACCOUNT, "language": "en"} | changed)


async def notice(calls: Calls, **changed: Any) -> notice_pb2.PaymentNotice:
    """The account's notice."""
    found: notice_pb2.PaymentNotice = (await calls.notices.GetPaymentNotice(asked(**changed))).notice
    return found


def lines(found: notice_pb2.PaymentNotice) -> list[tuple[str, str, int]]:
    """The lines in short: kind, words, amount."""
    return [
        (KIND.Name(e.kind).removeprefix("NOTICE_LINE_KIND_"), e.description, e.amount.minor_units) for e in found.lines
    ]


def ago(**back: int) -> Any:
    """An instant before now: notices are about now."""
    return to_proto(clock.now() - timedelta(**back))


async def crossed(calls: Calls) -> None:
    """An account of 100 yuan that spent 60 of them, below its threshold of 50."""
    await calls.bills.PutBillPlan(put_plan())
    await calls.accounts.OpenAccount(opened(occurred_at=ago(days=9)))
    await calls.accounts.Recharge(recharged(occurred_at=ago(days=8)))
    await calls.charging.Charge(
        charged("c-1", amount=cny(20_00), description="TV <b>basic</b>", occurred_at=ago(days=7))
    )
    await calls.charging.Charge(charged("c-2", amount=cny(40_00), description="点播", occurred_at=ago(days=6)))


async def test_a_notice_says_what_is_to_be_paid_and_why(served: Serving) -> None:
    calls = boss(served)
    await crossed(calls)
    found = await notice(calls)
    assert lines(found) == [
        ("CHARGED", "Charge TV <b>basic</b>", 20_00),
        ("CHARGED", "Charge 点播", 40_00),
        ("RECHARGE", "Recharge counter", -100_00),
        ("BILL", "Bill No. 1", 60_00),
    ]
    assert (found.asked, found.on_its_way, found.to_pay) == (cny(60_00), cny(0), cny(60_00))
    assert (found.threshold, found.balance.balance, found.balance.cash) == (cny(50_00), cny(40_00), cny(40_00))
    assert (found.balance.gift, found.balance.held, found.balance.spendable) == (cny(0), cny(0), cny(40_00))
    assert found.due_at == found.bills[0].due_at
    assert not found.cut


async def test_a_notice_begins_anew_when_the_account_is_back(served: Serving) -> None:
    calls = boss(served)
    await crossed(calls)
    bill = (await notice(calls)).bills[0]
    await calls.bills.PayBill(paid(bill_id=bill.bill_id, occurred_at=ago(days=5)))
    assert lines(await notice(calls)) == []
    await calls.charging.Charge(charged("c-3", amount=cny(5_00), occurred_at=ago(days=4)))
    found = await notice(calls)
    assert lines(found) == [("CHARGED", "Charge TV", 5_00)]
    assert (found.asked, found.to_pay, found.HasField("due_at")) == (cny(0), cny(0), False)


async def test_notices_speak_chinese_unless_asked_otherwise(served: Serving) -> None:
    calls = boss(served)
    await crossed(calls)
    words = [line.description for line in (await notice(calls, language="")).lines]
    assert words == ["消费 TV <b>basic</b>", "消费 点播", "充值 counter", "账单 账单号 1"]


async def test_members_see_their_own_notices_alone(served: Serving) -> None:
    calls = boss(served)
    await crossed(calls)
    assert (await notice(member(served), customer_id=CUSTOMER)).to_pay == cny(60_00)
    other = member(served, "cus-2")
    assert (await refused(other.notices.GetPaymentNotice, asked(customer_id="cus-2"))).reason == "ACCOUNT_NOT_FOUND"
    assert (
        await refused(other.notices.GetPaymentNotice, asked(customer_id=CUSTOMER))
    ).code.value == "PERMISSION_DENIED"


@pytest.mark.parametrize(
    ("language", "shown"), [("zh", ["缴费通知单", "应缴金额", "¥60.00"]), ("en", ["To pay", "¥60.00"])]
)
async def test_documents_escape_what_callers_wrote(served: Serving, language: str, shown: list[str]) -> None:
    calls = boss(served)
    await crossed(calls)
    request: dict[str, Any] = {"account_id": ACCOUNT, "language": language}
    page = await calls.notices.RenderPaymentNotice(
        pb.RenderPaymentNoticeRequest(**request, format=notice_pb2.DOCUMENT_FORMAT_HTML)
    )
    html = page.content.decode()
    assert page.content_type == "text/html; charset=utf-8"
    assert "TV &lt;b&gt;basic&lt;/b&gt;" in html
    assert "<b>" not in html
    assert all(word in html for word in shown)
    document = await calls.notices.RenderPaymentNotice(
        pb.RenderPaymentNoticeRequest(**request, format=notice_pb2.DOCUMENT_FORMAT_PDF)
    )
    assert (document.content_type, document.content[:5]) == ("application/pdf", b"%PDF-")
    assert document.file_name.endswith(".pdf")
    text = "".join(each.extract_text() for each in PdfReader(BytesIO(document.content)).pages)
    assert all(word in text for word in [*shown, "TV <b>basic</b>", "点播"])


async def test_statements_of_a_month_add_up_and_come_by_pages(served: Serving) -> None:
    calls = boss(served)
    await calls.accounts.OpenAccount(opened(plan_id=""))
    await calls.accounts.Recharge(recharged())
    for n in range(5):
        await calls.charging.Charge(charged(f"c-{n}", amount=cny(n + 1)))
    request: dict[str, Any] = {"account_id": ACCOUNT, "month": "2026-03", "page_size": 4}
    first = await calls.notices.GetStatement(pb.GetStatementRequest(**request))
    rest = await calls.notices.GetStatement(pb.GetStatementRequest(**request, page_token=first.next_page_token))
    statement = first.statement
    assert (statement.opening, statement.closing) == (cny(0), cny(100_00 - 15))
    assert {each.kind: (each.amount.minor_units, each.entries) for each in statement.sections} == {
        "charge": (-15, 5),
        "recharge": (100_00, 1),
    }
    entries = [*statement.entries, *rest.statement.entries]
    assert [e.balance_after.minor_units for e in entries] == [100_00, 99_99, 99_97, 99_94, 99_90, 99_85]
    assert (rest.next_page_token, statement.closed) == ("", False)
    assert all(e.charge_id for e in entries[1:])


@pytest.mark.parametrize("form", [notice_pb2.DOCUMENT_FORMAT_HTML, notice_pb2.DOCUMENT_FORMAT_PDF])
async def test_statements_are_documents_too(served: Serving, form: Any) -> None:
    calls = boss(served)
    await calls.accounts.OpenAccount(opened(plan_id=""))
    await calls.accounts.Recharge(recharged())
    found = await calls.notices.RenderStatement(
        pb.RenderStatementRequest(account_id=ACCOUNT, month="2026-03", language="zh", format=form)
    )
    assert found.file_name.startswith(f"statement-{ACCOUNT}-2026-03.")
    whole = found.content if form == notice_pb2.DOCUMENT_FORMAT_HTML else _text(found.content).encode()
    assert "账户对账单" in whole.decode()
    assert "¥100.00" in whole.decode()


async def test_a_long_statement_lists_its_first_entries_and_sums_all_of_them(served: Serving) -> None:
    calls = boss(served)
    await calls.accounts.OpenAccount(opened(plan_id=""))
    await calls.accounts.Recharge(recharged())
    for batch in range(2):
        wanted = [charged(f"c-{batch}-{number}", amount=cny(1)) for number in range(600)]
        await calls.charging.BatchCharge(charging_pb.BatchChargeRequest(requests=wanted))

    found = await calls.notices.RenderStatement(
        pb.RenderStatementRequest(
            account_id=ACCOUNT, month="2026-03", language="en", format=notice_pb2.DOCUMENT_FORMAT_HTML
        )
    )

    page = found.content.decode()
    assert page.count("Charge TV</td>") == 999
    assert "The first 1000 of 1201 entries are listed" in page
    assert "-¥12.00" in page
    assert "¥88.00" in page


def _text(document: bytes) -> str:
    return "".join(each.extract_text() for each in PdfReader(BytesIO(document)).pages)


@pytest.mark.parametrize("seed", range(3))
async def test_notices_agree_with_all_that_the_tables_have(served: Serving, seed: int) -> None:
    """Since the account last came back to its threshold, as a plain walk over its entries finds it."""
    drawn, calls = random.Random(seed), boss(served)
    await calls.bills.PutBillPlan(put_plan())
    await calls.accounts.OpenAccount(opened(occurred_at=ago(days=9)))
    await calls.accounts.Recharge(recharged(occurred_at=ago(days=8)))
    for step in range(25):
        at = ago(days=7, minutes=-step)
        bills = (await calls.bills.ListBills(bill_pb.ListBillsRequest(account_id=ACCOUNT, state=OPEN))).bills
        match drawn.choice(("charge", "charge", "charge", "recharge", "pay")):
            case "charge":
                balance = (await notice(calls)).balance.spendable.minor_units
                if balance:
                    amount = drawn.randint(1, min(balance, 30_00))
                    await calls.charging.Charge(charged(f"c-{step}", amount=cny(amount), occurred_at=at))
            case "recharge":
                amount = drawn.randint(1, 40_00)
                await calls.accounts.Recharge(recharged(f"r-{step}", amount=cny(amount), occurred_at=at))
            case _ if bills:
                await calls.bills.PayBill(paid(f"p-{step}", bill_id=bills[0].bill_id, occurred_at=at))
        await _is_true(calls)


async def _is_true(calls: Calls) -> None:
    found = await notice(calls)
    page = await calls.accounts.ListStatementEntries(
        account_pb.ListStatementEntriesRequest(account_id=ACCOUNT, page_size=500)
    )
    crossed_now, since = False, 0
    entries = sorted(page.entries, key=lambda entry: entry.account_version)
    for entry in entries:
        if crossed_now and entry.balance_after.minor_units >= 50_00:
            crossed_now, since = False, entry.account_version
        elif entry.amount.minor_units < 0 and entry.balance_after.minor_units < 50_00:
            crossed_now = True
    bills = (await calls.bills.ListBills(bill_pb.ListBillsRequest(account_id=ACCOUNT, state=OPEN))).bills
    moved = [line for line in found.lines if line.kind != notice_pb2.NOTICE_LINE_KIND_BILL]
    expected = [-entry.amount.minor_units for entry in entries if entry.account_version > since]
    assert sorted(line.amount.minor_units for line in moved) == sorted(expected)
    assert found.to_pay.minor_units == sum(bill.remaining.minor_units for bill in bills)
    assert [bill.bill_id for bill in found.bills] == [bill.bill_id for bill in bills]
