"""Lines of a notice about products, subscriptions, refunds and payments on their way, and how they are put in words."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from billing.documents.laying_out import Layout
from billing.documents.writing import Language
from billing.domain.account import Account
from billing.domain.movement import Billing, Debit, Movement, MovementKind
from billing.domain.notice import NoticeLineKind, NoticeOf, sums_by_kind
from billing.store.account import find_account
from billing.use_cases.movement import apply_whole
from billing.use_cases.notice import payment_notice
from chassis.ids import new_id
from chassis.testing.serving import Serving
from chassis.times import to_proto
from chassis.work import Transaction
from sqlalchemy import text

from services.billing.tests.bills import credit
from services.billing.tests.calls import Calls, boss, charged, cny, opened, put_plan, recharged
from services.billing.tests.factories import ACCOUNT, CALENDAR, OCCURRED_AT
from services.billing.tests.factories import cny as cny_of
from services.billing.tests.orders import cancel, item, order, rich

APRIL = datetime(2026, 4, 10, tzinfo=UTC)


async def notice_at(served: Serving, as_of: datetime = APRIL) -> NoticeOf:
    """The account's notice at an instant."""
    async with served.work.reading() as connection:
        account = await find_account(connection, ACCOUNT)
        assert isinstance(account, Account)
        return await payment_notice(connection, account, as_of, CALENDAR)


def in_words(found: NoticeOf, language: Language) -> list[tuple[str, tuple[str, ...], int]]:
    """Its lines: words, details, amount."""
    layout = Layout(language, ZoneInfo("UTC"))
    return [(layout.describe(line), layout.details(line), line.amount.minor_units) for line in found.notice.lines]


async def test_products_are_called_by_their_names_and_reckoned_line_by_line(served: Serving) -> None:
    orders = await rich(served)
    await orders.PlaceOrder(order(items=[item(quantity=2)]))
    found = await notice_at(served)
    charged_line, renewal, recharge = found.notice.lines
    assert [line.kind for line in found.notice.lines] == [
        NoticeLineKind.CHARGED,
        NoticeLineKind.SUBSCRIPTION,
        NoticeLineKind.RECHARGE,
    ]
    assert renewal.occurred_at == datetime(2026, 4, 1, tzinfo=UTC)
    assert charged_line.reckoned is not None
    assert charged_line.reckoned.reckoning.total_minor == charged_line.amount.minor_units
    english, chinese = in_words(found, Language.ENGLISH), in_words(found, Language.CHINESE)
    assert english[0][0] == "Order TV basic"
    assert chinese[0][0] == "订购 基础电视"
    assert any(part.startswith("prorated, 15 of 31 days: -¥") for part in english[0][1])
    assert any(part.startswith("按日折算,15/31 日:-¥") for part in chinese[0][1])
    assert english[1] == ("Renewal TV basic", ("quantity 2",), renewal.amount.minor_units)
    assert recharge.amount.minor_units < 0


async def test_what_is_cancelled_is_given_back_and_renewed_no_more(served: Serving) -> None:
    orders = await rich(served)
    await orders.PlaceOrder(order())
    await orders.CancelSubscription(cancel())
    found = await notice_at(served)
    sums = sums_by_kind(found.notice.lines)
    assert NoticeLineKind.SUBSCRIPTION not in sums
    assert 0 > sums[NoticeLineKind.REFUND] > -sums[NoticeLineKind.CHARGED]
    assert sum(sums.values()) == -found.balance.balance.minor_units


async def test_credit_notes_take_off_what_a_bill_asks_for(served: Serving) -> None:
    await _crossed(served)
    bill = (await notice_at(served)).notice.bills[0]
    await Calls(served, "billing.admin").bills.IssueCreditNote(credit(bill.bill_id, amount=cny(25_00)))
    notice = (await notice_at(served)).notice
    lines = [(line.topic, line.amount.minor_units) for line in notice.lines if line.kind is NoticeLineKind.BILL]
    assert lines == [("original", 60_00), ("credit_note", -25_00)]
    assert (notice.asked.minor_units, notice.to_pay.minor_units) == (35_00, 35_00)


async def test_payments_on_their_way_are_taken_off_but_once(served: Serving) -> None:
    await _crossed(served)
    bill_id = (await notice_at(served)).notice.bills[0].bill_id
    await _on_its_way(served, "before", 10_00, None, "-1 hour")
    await _on_its_way(served, "after", 15_00, None, "1 hour")
    await _on_its_way(served, "for-it", 20_00, bill_id, "-1 hour")
    found = await notice_at(served)
    notice = found.notice
    assert (notice.asked, notice.on_its_way, notice.to_pay) == tuple(map(found.account.money, (60_00, 35_00, 25_00)))
    pending = {line.reference: line.counted for line in notice.lines if line.kind is NoticeLineKind.PENDING}
    assert pending == {"before": False, "after": True, "for-it": True}
    assert "the bill already asks for so much less" in str(in_words(found, Language.ENGLISH))
    await _on_its_way(served, "plenty", 90_00, None, "2 hours")
    assert (await notice_at(served)).notice.to_pay.minor_units == 0


async def test_what_a_supplement_counted_as_on_its_way_is_not_taken_off_again(served: Serving) -> None:
    await _crossed(served)
    await _on_its_way(served, "between", 10_00, None, "1 millisecond")
    order = Movement(
        new_id(), ACCOUNT, MovementKind.CHARGE, Debit(cny_of(25_00)), "TV", OCCURRED_AT, billing=Billing.SUPPLEMENT
    )
    await served.work.run(lambda transaction: apply_whole(transaction, [order], CALENDAR))
    notice = (await notice_at(served)).notice
    # Of 85.00 missing 60.00 were asked and 10.00 on their way.
    assert [bill.amount for bill in notice.bills] == [cny_of(60_00), cny_of(15_00)]
    assert (notice.asked, notice.on_its_way, notice.to_pay) == (cny_of(75_00), cny_of(0), cny_of(75_00))


async def test_older_lines_are_left_out_and_the_notice_says_so(served: Serving) -> None:
    calls = boss(served)
    await calls.accounts.OpenAccount(opened(plan_id=""))
    await calls.accounts.Recharge(recharged())
    for days, left, cut in ((60, 2, False), (61, 2, True)):
        await calls.charging.Charge(
            charged(f"c-{days}", amount=cny(1), occurred_at=to_proto(OCCURRED_AT + timedelta(days=days)))
        )
        found = (await notice_at(served, OCCURRED_AT + timedelta(days=300))).notice
        assert (len(found.lines), found.cut) == (left, cut)


async def _crossed(served: Serving) -> None:
    calls = boss(served)
    await calls.bills.PutBillPlan(put_plan())
    await calls.accounts.OpenAccount(opened())
    await calls.accounts.Recharge(recharged())
    await calls.charging.Charge(charged(amount=cny(60_00)))


async def _on_its_way(served: Serving, name: str, amount: int, bill_id: str | None, after_the_bill: str) -> None:
    """A payment that was stored so long after the bill."""

    async def act(transaction: Transaction) -> None:
        await transaction.connection.execute(
            text(_PENDING), {"name": name, "amount": amount, "bill_id": bill_id, "after": after_the_bill}
        )

    await served.work.run(act)


_PENDING = """
INSERT INTO payments (payment_id, account_id, customer_id, amount_minor, currency, channel, bill_id, return_url, origin,
                      state, requested_at, expires_at, next_ask_at, recorded_at)
SELECT :name, 'acc-1', 'cus-1', :amount, 'CNY', 'sandbox', :bill_id, '', 'customer', 'pending', recorded, recorded,
       recorded, recorded
FROM (SELECT recorded_at + CAST(CAST(:after AS text) AS interval) AS recorded FROM bills LIMIT 1) AS bill
"""
