"""Alliance merchants on the real database: codes verified once, sales and reversals, and what is settled."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import pytest
from chassis.calendar import Period, Span
from chassis.database import async_url
from chassis.errors import InvalidArgument
from chassis.ids import new_id
from chassis.testing import Databases
from chassis.work import Transaction, Work
from member.__main__ import PROCESS
from member.domain.merchant import (
    FAILURES_MAX,
    FAILURES_WINDOW,
    SALE_WITHIN,
    MerchantCurrencyFixed,
    MerchantNotServing,
    ShopUnknown,
    SubjectTaken,
    TierDiscount,
    TokenOfNoMerchant,
    TooManyWrongCodes,
    VerificationId,
    new_code,
)
from member.domain.program import ProgramId, TierId
from member.domain.settlement import (
    CurrencyNotSettled,
    FamilyNotCovered,
    MerchantLine,
    ReceiptReused,
    SaleNotFound,
    SaleReversed,
    Totals,
    VerificationNotFound,
    VerificationUsed,
    totals_of,
)
from member.use_cases.reversing import ReversePoints, reverse_points
from member.wire import FACTS
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from services.member.tests.club_factories import (
    CALENDAR,
    close,
    issue,
    merchant,
    put_merchant,
    sale,
    sell,
    settlement,
    take_back,
    verified,
    verify,
)
from services.member.tests.factories import (
    JANUARY,
    RECORDED_AT,
    award,
    awarded,
    day,
    enrolled,
    program,
    rows,
    scalar,
    told,
)
from services.member.tests.steps import C1, balance, confirm, evaluate, hold, prove, put_program


@dataclass
class Clock:
    """The system's time as a test sets it."""

    now: datetime = RECORDED_AT


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock()


@pytest.fixture
async def work(database: Databases, clock: Clock) -> AsyncIterator[Work]:
    """Transactions on a fresh database, at the time that the clock shows."""
    engine = create_async_engine(async_url((await database(PROCESS)).url))
    yield Work(engine, FACTS, now=lambda: clock.now)
    await engine.dispose()


async def silver(work: Work, *ids: str) -> None:
    """Silver members."""
    await enrolled(work, *ids)
    await awarded(work, *(award(300, at=day(1), customer_id=each) for each in ids))
    await evaluate(work, 1)


async def test_a_merchant_is_put_and_its_subjects_act_for_it_alone(work: Work) -> None:
    assert (await put_merchant(work, merchant())).revision == 1
    assert await put_merchant(work, merchant()) == replace(merchant(), revision=1)
    with pytest.raises(SubjectTaken):
        await put_merchant(work, merchant("coffee"))
    with pytest.raises(MerchantCurrencyFixed):
        await put_merchant(work, merchant(currency="USD"))
    with pytest.raises(InvalidArgument):
        await put_merchant(work, merchant(discounts=(TierDiscount(TierId("none"), 1),)))
    await put_merchant(work, merchant(subjects=()))
    await put_merchant(work, merchant("coffee"))
    assert await rows(work, "SELECT * FROM merchant_subjects") == [("till-1", "coffee")]
    changes = await rows(work, "SELECT document_id, revision, put_by FROM catalogue_changes ORDER BY 1, 2")
    assert changes == [("coffee", 1, "boss"), ("tea", 1, "boss"), ("tea", 2, "boss")]


async def test_a_code_is_verified_once_and_tells_the_tier_alone(work: Work) -> None:
    await silver(work, "c-1")
    await put_merchant(work, merchant(product_families=("tea",)))
    code = await issue(work)
    kept = await rows(work, "SELECT member_codes::text FROM member_codes")
    assert not [row for row in kept if code in row[0] or code.encode().hex() in row[0]]
    found = await verify(work, code, shop_id="centre")
    assert found is not None
    seen = found.verification
    assert (seen.tier_name, seen.discount_basis_points, found.product_families) == ("Silver", 500, ("tea",))
    assert await verify(work, code) is None
    assert await scalar(work, "SELECT count(*) FROM merchant_verifications") == 1


async def test_of_many_who_verify_one_code_at_once_one_wins(work: Work) -> None:
    await silver(work, "c-1")
    tills = tuple(f"till-{number}" for number in range(20))
    await put_merchant(work, merchant(subjects=tills))
    code = await issue(work)
    found = await asyncio.gather(*(verify(work, code, subject=till) for till in tills))
    assert len([each for each in found if each is not None]) == 1
    assert await scalar(work, "SELECT sum(failures) FROM code_failures") == 19


async def test_wrong_expired_replaced_and_foreign_codes_are_one_answer(work: Work, clock: Clock) -> None:
    await silver(work, "c-1", "c-2")
    await put_program(work, program("fans"))
    await enrolled(work, "c-3", program_id=ProgramId("fans"))
    await put_merchant(work, merchant())
    await put_merchant(work, merchant("balls", subjects=("till-2",), program_id=ProgramId("fans"), discounts=()))
    replaced, fresh, timely = await issue(work), await issue(work), await issue(work, "c-2", ttl_seconds=120)
    assert await verify(work, new_code()) is None
    assert await verify(work, replaced) is None
    assert await verify(work, fresh, subject="till-2") is None
    assert await verify(work, fresh) is not None
    clock.now += timedelta(seconds=120)
    assert await verify(work, timely) is None
    late = await issue(work, "c-2")
    clock.now += timedelta(seconds=120) - timedelta(microseconds=1)
    assert await verify(work, late) is not None


async def test_guessing_is_stopped_for_a_while_also_side_by_side(work: Work, clock: Clock) -> None:
    await silver(work, "c-1")
    await put_merchant(work, merchant(subjects=("till-1", "till-2")))
    guesses = await asyncio.gather(*(verify(work, new_code()) for _ in range(30)), return_exceptions=True)
    assert len([each for each in guesses if each is None]) == FAILURES_MAX
    assert len([each for each in guesses if isinstance(each, TooManyWrongCodes)]) == 30 - FAILURES_MAX
    code = await issue(work, ttl_seconds=600)
    with pytest.raises(TooManyWrongCodes):
        await verify(work, code)
    clock.now += FAILURES_WINDOW - timedelta(seconds=1)
    with pytest.raises(TooManyWrongCodes):
        await verify(work, code)
    assert await verify(work, await issue(work), subject="till-2") is not None
    clock.now += timedelta(seconds=1)
    assert await verify(work, await issue(work)) is not None


async def test_who_may_verify_where_and_when(work: Work) -> None:
    await silver(work, "c-1")
    await put_merchant(work, merchant(valid_from=RECORDED_AT + timedelta(seconds=1)))
    code = await issue(work)
    with pytest.raises(TokenOfNoMerchant):
        await verify(work, code, subject="somebody")
    with pytest.raises(MerchantNotServing):
        await verify(work, code)
    await put_merchant(work, merchant(valid_until=RECORDED_AT))
    with pytest.raises(MerchantNotServing):
        await verify(work, code)
    await put_merchant(work, merchant(suspended=True))
    with pytest.raises(MerchantNotServing):
        await verify(work, code)
    await put_merchant(work, merchant())
    with pytest.raises(ShopUnknown):
        await verify(work, code, shop_id="edge")
    assert await verify(work, code, shop_id="centre") is not None


async def test_a_sale_is_recorded_once_by_its_receipt(work: Work) -> None:
    await silver(work, "c-1")
    await put_merchant(work, merchant(earn_rate_percent=100))
    wanted = sale(await verified(work), 999, receipt_number="r-1")
    line = await sell(work, wanted)
    # 5 % of 9.99 are 0.4995, rounded down; a third of 0.49 is 0.163317, rounded to the nearest; 9.50 give 9 points.
    assert (line.discount_minor, line.share_minor, line.points) == (49, 16, 9)
    assert await sell(work, wanted) == line
    with pytest.raises(ReceiptReused):
        await sell(work, replace(wanted, occurred_at=day(4)))
    with pytest.raises(VerificationUsed):
        await sell(work, replace(wanted, receipt_number="r-2"))
    with pytest.raises(VerificationNotFound):
        await sell(work, sale(VerificationId("none")))
    assert (await told(work, "MerchantSaleRecorded"), await balance(work)) == (1, (309, 0))
    assert await scalar(work, "SELECT count(*) FROM merchant_lines") == 1


async def test_twins_and_rivals_of_a_sale_make_one_line(work: Work) -> None:
    await silver(work, "c-1", "c-2")
    await put_merchant(work, merchant())
    first, second = await verified(work), await verified(work, "c-2")
    twin = sale(first, receipt_number="r-1")
    rival = sale(second, receipt_number="r-1")
    again = sale(first, receipt_number="r-2")
    asked = [twin, rival, again] * 10
    outcomes = await asyncio.gather(*(sell(work, each) for each in asked), return_exceptions=True)
    assert await scalar(work, "SELECT count(DISTINCT verification_id) FROM merchant_lines") == await scalar(
        work, "SELECT count(DISTINCT receipt_number) FROM merchant_lines"
    )
    refused = {type(each) for each in outcomes if isinstance(each, BaseException)}
    assert refused <= {ReceiptReused, VerificationUsed}
    assert {each.line_id for each in outcomes if not isinstance(each, BaseException)} == {
        row[0] for row in await rows(work, "SELECT line_id FROM merchant_lines")
    }


async def test_what_a_merchant_does_not_sell_to_members(work: Work, clock: Clock) -> None:
    await silver(work, "c-1", "c-2")
    await put_merchant(work, merchant(product_families=("tea",)))
    await put_merchant(work, merchant("coffee", subjects=("till-2",)))
    seen = await verified(work)
    with pytest.raises(FamilyNotCovered):
        await sell(work, sale(seen))
    with pytest.raises(CurrencyNotSettled):
        await sell(work, sale(seen, product_family="tea", amount=replace(sale(seen).amount, currency="USD")))
    with pytest.raises(VerificationNotFound):
        await sell(work, sale(seen, product_family="tea"), subject="till-2")
    clock.now += SALE_WITHIN
    with pytest.raises(VerificationNotFound):
        await sell(work, sale(seen, product_family="tea"))
    clock.now -= timedelta(microseconds=1)
    assert (await sell(work, sale(seen, product_family="tea"))).discount_minor == 50


async def test_discounts_are_cut_to_the_caps_of_a_sale_and_of_a_month(work: Work) -> None:
    await silver(work, "c-1")
    await put_merchant(work, merchant(sale_discount_cap_minor=40, month_discount_cap_minor=100))
    given = []
    for number in (3, 4, 5, 40):
        receipt = f"r-{number}"
        line = await sell(work, sale(await verified(work), receipt_number=receipt, occurred_at=day(number)))
        given.append(line.discount_minor)
    assert given == [40, 40, 20, 40]
    await take_back(work, "r-3", on=6)
    line = await sell(work, sale(await verified(work), occurred_at=day(7)))
    assert line.discount_minor == 40


async def test_a_sale_is_dated_by_its_verification(work: Work, clock: Clock) -> None:
    await silver(work, "c-1")
    await put_merchant(work, merchant(month_discount_cap_minor=60))
    hour, moment = timedelta(hours=1), timedelta(microseconds=1)
    seen, before = await verified(work), clock.now
    clock.now += timedelta(hours=2)
    for at in (before - timedelta(days=40), before - hour - moment, clock.now + timedelta(minutes=5) + moment):
        with pytest.raises(InvalidArgument) as refused:
            await sell(work, sale(seen, occurred_at=at), back=hour)
        assert [each.field for each in refused.value.violations] == ["occurred_at"]
    first = sale(seen, occurred_at=before - hour)
    assert (await sell(work, first, back=hour)).discount_minor == 50
    clock.now += SALE_WITHIN
    assert (await sell(work, first, back=hour)).discount_minor == 50
    assert (await sell(work, sale(await verified(work), occurred_at=clock.now), back=hour)).discount_minor == 10


async def test_a_month_has_one_cap_for_sales_made_at_once(work: Work) -> None:
    await silver(work, "c-1")
    await put_merchant(work, merchant(month_discount_cap_minor=120))
    seen = [await verified(work) for _ in range(8)]
    lines = await asyncio.gather(*(sell(work, sale(each)) for each in seen))
    assert sum(line.discount_minor for line in lines) == 120


async def test_a_sale_is_taken_back_once_with_what_is_left_of_its_points(work: Work) -> None:
    await silver(work, "c-1")
    await put_merchant(work, merchant(earn_rate_percent=100))
    line = await sell(work, sale(await verified(work), receipt_number="r-1"))
    assert await balance(work) == (309, 0)
    back = await asyncio.gather(*(take_back(work, "r-1") for _ in range(10)), return_exceptions=True)
    (done,) = [each for each in back if not isinstance(each, BaseException)]
    assert [type(each) for each in back if isinstance(each, BaseException)] == [SaleReversed] * 9
    assert (done.amount_minor, done.discount_minor, done.share_minor, done.points, done.reverses) == (
        -1000,
        -50,
        -line.share_minor,
        -9,
        line.line_id,
    )
    assert (await balance(work), await told(work, "MerchantSaleReversed")) == ((300, 0), 1)
    with pytest.raises(SaleNotFound):
        await take_back(work, "r-2")
    await sell(work, sale(await verified(work), 10_000, receipt_number="r-3"))
    await hold(work, 390, occurred_at=day(5), expires_at=day(8))
    await confirm(work, None, on=6)
    assert (await take_back(work, "r-3", on=7)).points == -95
    assert await balance(work) == (0, 0)
    await prove(work)


async def test_a_closed_period_stays_what_it_was_and_late_sales_fall_into_the_next(work: Work) -> None:
    await silver(work, "c-1")
    await put_merchant(work, merchant())
    early, late, back = [await verified(work) for _ in range(3)]
    await sell(work, sale(early, receipt_number="r-1", occurred_at=day(3)))
    march = CALENDAR.start_of(CALENDAR.day_of(day(70)).replace(day=1))
    assert await close(work, march) == 1
    january = await settlement(work, day(3))
    assert (january.closed, january.totals) == (True, Totals(1, 0, 1000, 50, 17))
    await sell(work, sale(late, receipt_number="r-2", occurred_at=day(4)))
    await take_back(work, "r-1", on=5)
    await sell(work, sale(back, 500, occurred_at=day(80)))
    assert await settlement(work, day(3)) == january
    open_ = await settlement(work, march)
    assert (open_.closed, open_.period.start, open_.totals) == (False, march, Totals(2, 1, 500, 25, 8))
    assert [line.settled_at for line in open_.lines] == [march, march, day(80)]
    assert (await settlement(work, day(40))).totals == Totals()
    assert (await settlement(work, day(40))).closed
    assert await close(work, march) == 0
    await prove(work)


async def test_lines_and_closings_are_never_changed(work: Work) -> None:
    await silver(work, "c-1")
    await put_merchant(work, merchant())
    await sell(work, sale(await verified(work)))
    await close(work, day(60))
    for statement in (
        "UPDATE merchant_lines SET discount_minor = 0",
        "DELETE FROM merchant_lines",
        "UPDATE merchant_closings SET sales = 0",
        "DELETE FROM catalogue_changes",
    ):
        with pytest.raises(DBAPIError):
            await work.run(partial(_executed, statement))


async def _executed(statement: str, transaction: Transaction) -> None:
    await transaction.connection.execute(text(statement))


async def test_settlements_come_to_sales_less_reversals_at_any_cut(work: Work) -> None:
    """Random sales, reversals, closings and changes of the period: every closed period stays what it was, and all
    periods together are all sales less all reversals."""
    dice = random.Random(1)
    await silver(work, "c-1", "c-2")
    await put_merchant(work, merchant())
    lines: list[MerchantLine] = []
    seen: dict[Span, Totals] = {}
    now = 2
    for step in range(36):
        now += dice.randrange(6)
        match dice.choice(["sell", "sell", "sell", "back", "close", "period"]):
            case "sell":
                when = dice.choice([now, max(1, now - 40)])
                wanted = sale(await verified(work, dice.choice(["c-1", "c-2"])), dice.randrange(1, 5000))
                receipt = f"r-{step}"
                lines.append(await sell(work, replace(wanted, receipt_number=receipt, occurred_at=day(when))))
            case "back" if lines:
                with suppress(SaleReversed):
                    lines.append(await take_back(work, dice.choice(lines).receipt_number, on=now))
            case "close":
                await close(work, day(now - dice.randrange(3)))
            case "period":
                await put_merchant(work, merchant(settlement_period=dice.choice([Period.WEEK, Period.MONTH])))
        if step % 6 != 5:
            continue
        total, at = Totals(), JANUARY - timedelta(days=1)
        while at < day(now + 95):
            found = await settlement(work, at)
            total, at = total + found.totals, found.period.end
            assert found.totals == totals_of(found.lines)
            if found.closed and found.lines:
                assert seen.setdefault(found.period, found.totals) == found.totals
        assert total == totals_of(lines), step
    assert seen
    await prove(work)


async def test_a_sale_is_taken_back_though_its_points_were_before(work: Work) -> None:
    await enrolled(work, "c-1")
    await put_merchant(work, merchant(earn_rate_percent=100))
    line = await sell(work, sale(await verified(work), 100_00))
    undo = ReversePoints(new_id(), C1, f"merchant:{line.line_id}", None, "by mistake", day(3))
    await work.run(lambda transaction: reverse_points(transaction, undo))
    assert (await take_back(work, line.receipt_number)).amount_minor == -100_00
    assert (await settlement(work, day(3))).totals == Totals(1, 1)
    assert await balance(work) == (0, 0)
    with pytest.raises(SaleReversed):
        await take_back(work, line.receipt_number)
