"""Many at once, each in a transaction of its own: limits hold under any interleaving, and after a kill at any point."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from chassis.database import async_url
from chassis.embedded import NatsServer
from chassis.errors import Refusal
from chassis.testing import Databases, Keys
from chassis.testing.processes import UNTIMED, ServiceProcess
from chassis.times import to_proto
from chassis.work import Work
from member.__main__ import PROCESS
from member.domain.coupon import (
    CodeNotFound,
    Coupon,
    CouponsNotUsable,
    MemberLimitReached,
    OrderHasCoupons,
    StockExhausted,
)
from member.domain.coupon_acts import Reserved
from member.domain.coupon_template import Limits, TemplateId
from member.use_cases.coupon_codes import ImportCodes, Imported, import_codes
from member.wire import FACTS
from sqlalchemy.ext.asyncio import create_async_engine
from touchstone.member.v1 import coupon_pb2
from touchstone.member.v1 import coupon_service_pb2 as pb

from services.member.tests.calls import SCOPES, Stubs
from services.member.tests.coupon_steps import (
    CALENDAR,
    activated,
    claim,
    codes_made,
    expire,
    issue,
    issue_command,
    issued,
    prove_coupons,
    put_customers,
    redeem,
    release,
    reverse,
    terms,
    use,
    use_command,
    void,
)
from services.member.tests.factories import RECORDED_AT, day, rows, scalar


@pytest.fixture
async def busy(database: Databases) -> AsyncIterator[Work]:
    """Transactions on many connections at once."""
    engine = create_async_engine(
        async_url((await database(PROCESS)).url), pool_size=30, max_overflow=0, pool_timeout=120
    )
    yield Work(engine, FACTS, now=lambda: RECORDED_AT)
    await engine.dispose()


async def names(calls: Sequence[Awaitable[Any]]) -> list[str]:
    """What became of each, by the name of its type."""
    outcomes = await asyncio.gather(*calls)
    return [type(each[0] if isinstance(each, list) else each).__name__ for each in outcomes]


async def test_lists_that_share_codes_name_those_that_another_has(busy: Work) -> None:
    await activated(busy, terms())
    shared = [f"PARTNER-{number:03}" for number in range(40)]

    async def take_in(batch: int) -> Imported:
        codes = (*random.Random(batch).sample(shared, 30), f"OWN-{batch:03}")
        command = ImportCodes(f"list-{batch}", TemplateId("t-1"), codes, day(1), "boss")
        return await busy.run(lambda transaction: import_codes(transaction, command, calendar=CALENDAR))

    lists = await asyncio.gather(*(take_in(batch) for batch in range(8)))
    assert sum(each.batch.codes for each in lists) == await scalar(busy, "SELECT count(*) FROM coupons") == 48
    assert sum(each.batch.codes + len(each.known) for each in lists) == 8 * 31
    await prove_coupons(busy)


async def test_of_lists_with_one_id_one_is_made(busy: Work) -> None:
    await activated(busy, terms())

    async def take_in(number: int) -> Imported | Refusal:
        command = ImportCodes("list", TemplateId("t-1"), (f"CODE-{number}",), day(1), "boss")
        try:
            return await busy.run(lambda transaction: import_codes(transaction, command, calendar=CALENDAR))
        except Refusal as refusal:
            return refusal

    outcomes = await asyncio.gather(*(take_in(number) for number in range(8)))
    assert sorted(type(each).__name__ for each in outcomes) == ["BatchAlreadyMade"] * 7 + ["Imported"]


async def test_the_last_coupon_has_one_winner_of_two_hundred(busy: Work) -> None:
    ids = [f"c-{number}" for number in range(200)]
    await put_customers(busy, *ids)
    await activated(busy, terms(limits=Limits(issued=1)))
    found = await names([issue(busy, issue_command(each)) for each in ids])
    assert sorted(set(found)) == [Coupon.__name__, StockExhausted.__name__]
    assert found.count(Coupon.__name__) == 1
    await prove_coupons(busy)


async def test_the_last_redemption_has_one_winner_of_two_hundred(busy: Work) -> None:
    ids = [f"c-{number}" for number in range(200)]
    await put_customers(busy, *ids)
    await activated(busy, terms(limits=Limits(used=1)))
    coupons = [each for each in await issue(busy, *(issue_command(each) for each in ids)) if isinstance(each, Coupon)]
    found = await names(
        [use(busy, use_command(one.coupon_id, customer_id=who)) for one, who in zip(coupons, ids, strict=True)]
    )
    assert found.count(Reserved.__name__) == 1
    assert found.count(CouponsNotUsable.__name__) == 199
    await prove_coupons(busy)


async def test_one_member_at_once_has_no_more_than_one_may(busy: Work) -> None:
    await put_customers(busy, "c-1")
    await activated(busy, terms(limits=Limits(issued_per_member=3, used_per_member=2)))
    found = await names([issue(busy, issue_command()) for _ in range(30)])
    assert (found.count(Coupon.__name__), found.count(MemberLimitReached.__name__)) == (3, 27)
    ids = [row for (row,) in await _ids(busy)]
    uses = [use(busy, use_command(each, order_id=f"o-{n}-{each}")) for each in ids for n in range(8)]
    assert (await names(uses)).count(Reserved.__name__) == 2
    await prove_coupons(busy)


async def test_a_code_has_one_claimer_and_an_order_one_reservation(busy: Work) -> None:
    ids = [f"c-{number}" for number in range(30)]
    await put_customers(busy, *ids)
    await activated(busy, terms())
    (code,) = await codes_made(busy, 1)
    found = await names([claim(busy, code, each, caller=each) for each in ids])
    assert (found.count(Coupon.__name__), found.count(CodeNotFound.__name__)) == (1, 29)
    coupons = [await issued(busy) for _ in range(20)]
    found = await names([use(busy, use_command(each.coupon_id)) for each in coupons])
    assert (found.count(Reserved.__name__), found.count(OrderHasCoupons.__name__)) == (1, 19)
    await prove_coupons(busy)


async def test_a_reservation_ends_once_whoever_ends_it(busy: Work) -> None:
    await put_customers(busy, "c-1")
    await activated(busy, terms(limits=Limits(used=20)))
    for number in range(5):
        coupon = await issued(busy)
        await use(busy, use_command(coupon.coupon_id, order_id=f"o-{number}"))
        ends: list[Awaitable[Any]] = [act(busy, order_id=f"o-{number}") for act in (redeem, release) for _ in range(5)]
        ends += [expire(busy, 4), void(busy, coupon.coupon_id, at=4)]
        await asyncio.gather(*ends)
        await prove_coupons(busy)
    await asyncio.gather(*(reverse(busy, order_id=f"o-{n}") for n in range(5) for _ in range(4)))
    assert await scalar(busy, "SELECT used FROM coupon_templates") == 0
    await prove_coupons(busy)


async def test_acts_on_many_in_any_order_never_lock_each_other_out(busy: Work) -> None:
    ids = [f"c-{number}" for number in range(10)]
    await put_customers(busy, *ids)
    for name in ("t-1", "t-2", "t-3"):
        await activated(busy, terms(limits=Limits(issued=500, used=500, used_per_member=50)), name)
    batches = [
        [issue_command(ids[(start + n) % 10], template_id=TemplateId(f"t-{(start * n) % 3 + 1}")) for n in range(8)]
        for start in range(20)
    ]
    given = [one for batch in await asyncio.gather(*(issue(busy, *each) for each in batches)) for one in batch]
    coupons = [each for each in given if not isinstance(each, Refusal) and each.holder]
    uses = [
        use_command(each.coupon_id, customer_id=each.holder.customer_id if each.holder else "", order_id=f"o-{n % 40}")
        for n, each in enumerate(coupons)
    ]
    await asyncio.gather(*(use(busy, *uses[n::12]) for n in range(12)), *(expire(busy, 4, most=20) for _ in range(6)))
    await prove_coupons(busy)


async def _ids(work: Work) -> list[tuple[str]]:
    return [(str(each),) for (each,) in await rows(work, "SELECT coupon_id FROM coupons")]


@pytest.fixture
async def member(database: Databases, nats: NatsServer, keys: Keys, tmp_path: Path) -> AsyncIterator[ServiceProcess]:
    """A member service that is not started yet."""
    made = ServiceProcess(await database(PROCESS), nats, keys, tmp_path, "member", UNTIMED, scopes=SCOPES)
    yield made
    await made.close()


def wire_issue(number: int) -> pb.IssueCouponRequest:
    """A request that a repeat names alike."""
    return pb.IssueCouponRequest(
        request_id=f"issue-{number}",
        customer_id=f"c-{number % 4}",
        template_id="t-1",
        reason="r",
        occurred_at=to_proto(day(1)),
    )


def wire_spend(number: int, coupon: coupon_pb2.Coupon) -> pb.RedeemCouponsRequest:
    """A request that spends a coupon on an order of its own."""
    lines = [coupon_pb2.CouponOrderLine(product_id="p", unit_price_minor_units=5000, quantity=1)]
    return pb.RedeemCouponsRequest(
        request_id=f"spend-{number}",
        customer_id=coupon.customer_id,
        order_id=f"o-{number}",
        order=coupon_pb2.CouponOrder(currency="CNY", lines=lines),
        coupon_ids=[coupon.coupon_id],
        occurred_at=to_proto(day(2)),
    )


async def done(calls: Sequence[Awaitable[Any]]) -> list[Any]:
    """The replies; calls that were refused or lost are left out."""
    return [each for each in await asyncio.gather(*calls, return_exceptions=True) if not isinstance(each, Exception)]


async def test_killed_at_any_point_limits_hold_and_each_request_has_one_effect(member: ServiceProcess) -> None:
    engine = create_async_engine(async_url(member.database.url))
    work = Work(engine, FACTS, now=lambda: RECORDED_AT)
    await put_customers(work, *(f"c-{number}" for number in range(4)))
    await activated(work, terms(limits=Limits(issued=10, used=4, issued_per_member=3)))
    for point in ("work.before_commit:kill@3", "work.after_commit:kill@4"):
        stubs = Stubs.of(await member.start(point))
        for number in range(20):
            asked = asyncio.gather(stubs.coupons.IssueCoupon(wire_issue(number)), return_exceptions=True)
            (outcome,) = await asked
            if isinstance(outcome, grpc.aio.AioRpcError) and outcome.code() is grpc.StatusCode.UNAVAILABLE:
                break
        assert await member.killed() == -9
        await prove_coupons(work)
    stubs = Stubs.of(await member.start())
    issued_now = await done([stubs.coupons.IssueCoupon(wire_issue(number)) for number in range(20)])
    assert len(issued_now) == 10
    assert len(await done([stubs.coupons.IssueCoupon(wire_issue(number)) for number in range(20)])) == 10
    assert await scalar(work, "SELECT count(*) FROM coupons") == 10
    spends = [wire_spend(number, reply.coupon) for number, reply in enumerate(issued_now)]
    assert len(await done([stubs.coupons.RedeemCoupons(each) for each in spends])) == 4
    assert await scalar(work, "SELECT count(*) FROM coupons WHERE state = 'redeemed'") == 4
    await prove_coupons(work)
    await engine.dispose()
