"""Templates, coupons and orders to test with, and the use cases of coupons as one step each."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from chassis.calendar import Calendar
from chassis.errors import Refusal
from chassis.ids import new_id
from chassis.paging import Page
from chassis.proof import Check
from chassis.work import Work
from member.domain.coupon import Coupon, CouponId, OrderId
from member.domain.coupon_acts import Reserved
from member.domain.coupon_code import read_code
from member.domain.coupon_order import Candidate, Order, OrderLine
from member.domain.coupon_template import AmountOff, Discount, Lasting, TemplateId, TemplateVersion, Terms
from member.domain.customer import CustomerId, PersonId
from member.domain.membership import Holder
from member.domain.program import GENERAL
from member.store import coupon_lists
from member.use_cases import coupon_codes, coupon_templates, coupon_uses, coupons
from member.use_cases.coupon_uses import EndReservation, ReverseRedemption, UseCoupons
from member.use_cases.coupons import ClaimCode, Ended, ExpireCoupons, IssueCoupon, VoidCoupon
from member.use_cases.customers import UpsertCustomer, upsert_customers

from services.member.tests.factories import customer, day

CALENDAR = Calendar(ZoneInfo("Asia/Shanghai"))
TEN_OFF = AmountOff(10_00)


def terms(discount: Discount = TEN_OFF, **changes: Any) -> Terms:
    """Terms of a coupon that is good for 30 days and has no limits."""
    values: dict[str, Any] = {"display_name": "Ten off", "currency": "CNY", "validity": Lasting(30)}
    return Terms(discount=discount, **values | changes)


def order(*prices: int, family: str = "tv", **changes: Any) -> Order:
    """An order of one unit of each of so many products, p0 and on."""
    lines = tuple(OrderLine(f"p{place}", family, price, 1) for place, price in enumerate(prices))
    return Order(**{"currency": "CNY", "lines": lines} | changes)


def candidate(name: str, wanted: Terms, *, days: int = 30, template: str = "") -> Candidate:
    """A coupon to choose, of a template of its own unless one is named, good for so many days."""
    valid_to = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=days)
    return Candidate(CouponId(name), TemplateId(template or name), 1, wanted, valid_to)


async def put_customers(work: Work, *ids: str) -> None:
    """Customers who are members of nothing."""
    commands = [UpsertCustomer(customer(each)) for each in ids]
    await work.run(lambda transaction: upsert_customers(transaction, commands))


async def activated(work: Work, wanted: Terms, template_id: str = "t-1") -> TemplateVersion:
    """A template with these terms, put and activated."""
    put = coupon_templates.PutTemplate(TemplateId(template_id), wanted, "op")
    await work.run(lambda transaction: coupon_templates.put_template(transaction, put))
    activate = coupon_templates.ActivateTemplate(TemplateId(template_id), "op")
    return await work.run(lambda transaction: coupon_templates.activate_template(transaction, activate))


def issue_command(customer_id: str = "c-1", **changes: Any) -> IssueCoupon:
    """A coupon to issue on day 1."""
    values: dict[str, Any] = {
        "coupon_id": CouponId(new_id()),
        "template_id": TemplateId("t-1"),
        "holder": Holder(CustomerId(customer_id), GENERAL, PersonId(changes.pop("person_id", ""))),
        "occurred_at": day(1),
        "reason": "welcome",
    }
    return IssueCoupon(**values | changes)


async def issue(work: Work, *commands: IssueCoupon) -> list[Coupon | Refusal]:
    """Coupons issued in one transaction."""
    return await work.run(lambda transaction: coupons.issue_coupons(transaction, commands, calendar=CALENDAR))


async def issued(work: Work, customer_id: str = "c-1", **changes: Any) -> Coupon:
    """One coupon, issued."""
    (outcome,) = await issue(work, issue_command(customer_id, **changes))
    assert isinstance(outcome, Coupon), outcome
    return outcome


async def codes_made(work: Work, count: int, *, at: int = 1, template_id: str = "t-1") -> list[str]:
    """Codes of a list of their own."""
    command = coupon_codes.GenerateCodes(new_id(), TemplateId(template_id), count, day(at), "op")
    batch = await work.run(lambda transaction: coupon_codes.generate_codes(transaction, command, calendar=CALENDAR))
    async with work.reading() as connection:
        found = await coupon_codes.list_codes(connection, batch.batch_id, Page(500, None))
    return [each.code for each in found]


async def claim(
    work: Work, code: str, customer_id: str = "c-1", *, at: int = 1, caller: str = "app"
) -> Coupon | Refusal:
    """A code claimed."""
    holder = Holder(CustomerId(customer_id), GENERAL)
    command = ClaimCode(caller, read_code("code", code), holder, day(at))
    (outcome,) = await work.run(lambda transaction: coupons.claim_codes(transaction, [command], calendar=CALENDAR))
    return outcome


def use_command(*coupon_ids: str, order_id: str = "o-1", customer_id: str = "c-1", **changes: Any) -> UseCoupons:
    """Coupons to reserve on day 2 until day 4, for an order of 100 yuan."""
    values: dict[str, Any] = {
        "caller": "app",
        "order": order(100_00),
        "codes": (),
        "occurred_at": day(2),
        "ends_at": day(4),
    }
    return UseCoupons(
        customer_id=CustomerId(customer_id),
        order_id=OrderId(order_id),
        coupon_ids=tuple(CouponId(each) for each in coupon_ids),
        **values | changes,
    )


async def use(work: Work, *commands: UseCoupons) -> list[Reserved | Refusal]:
    """Coupons used in one transaction."""
    return await work.run(lambda transaction: coupon_uses.use_coupons(transaction, commands, calendar=CALENDAR))


def _end(at: int, order_id: str, customer_id: str) -> EndReservation:
    return EndReservation(CustomerId(customer_id), OrderId(order_id), day(at))


async def redeem(
    work: Work, *, at: int = 3, order_id: str = "o-1", customer_id: str = "c-1"
) -> Sequence[Coupon] | Refusal:
    """A reservation spent."""
    commands = [_end(at, order_id, customer_id)]
    return (await work.run(lambda t: coupon_uses.redeem_reserved(t, commands, calendar=CALENDAR)))[0]


async def release(
    work: Work, *, at: int = 3, order_id: str = "o-1", customer_id: str = "c-1"
) -> Sequence[Coupon] | Refusal:
    """A reservation freed."""
    commands = [_end(at, order_id, customer_id)]
    return (await work.run(lambda t: coupon_uses.release_coupons(t, commands, calendar=CALENDAR)))[0]


async def reverse(
    work: Work, *coupon_ids: str, at: int = 5, order_id: str = "o-1", customer_id: str = "c-1"
) -> Sequence[Coupon] | Refusal:
    """A redemption undone."""
    ids = tuple(CouponId(each) for each in coupon_ids)
    commands = [ReverseRedemption(CustomerId(customer_id), OrderId(order_id), ids, day(at), "sent back", "op")]
    return (await work.run(lambda t: coupon_uses.reverse_redemptions(t, commands, calendar=CALENDAR)))[0]


async def void(work: Work, coupon_id: str, *, at: int = 2) -> Coupon | Refusal:
    """A coupon withdrawn."""
    commands = [VoidCoupon(CouponId(coupon_id), day(at), "by mistake", "op")]
    return (await work.run(lambda t: coupons.void_coupons(t, commands, calendar=CALENDAR)))[0]


async def expire(work: Work, at: int, *, most: int = 500) -> Ended:
    """One round of what is due on a day."""
    command = ExpireCoupons(day(at), most)
    return await work.run(lambda transaction: coupons.expire_coupons(transaction, command, calendar=CALENDAR))


async def prove_coupons(work: Work) -> None:
    """Everything that is claimed of coupons holds."""
    async with work.reading() as connection:
        checks: list[Check] = await coupon_lists.prove(connection)
    assert all(check.holds for check in checks), checks
