"""Coupons over real gRPC: twins, batches, jobs, a member's own quote and use, verifying, pages, figures."""

import asyncio

import pytest
from chassis.rpc.errors import from_status
from chassis.testing.serving import DATED_LONG_AGO, Serving
from chassis.times import to_proto
from touchstone.common.v1 import operations_service_pb2
from touchstone.member.v1 import coupon_pb2
from touchstone.member.v1 import coupon_service_pb2 as pb

from services.member.tests.calls import SCOPES, Stubs, become_member, refused
from services.member.tests.factories import day, scalar
from services.member.tests.test_bad_coupons import WHEN, asked, order, terms

LIMITS = coupon_pb2.CouponLimits(issued=100, used=10)


async def make_template(boss: Stubs, template_id: str = "t-1", **changes: object) -> None:
    """A template put and activated."""
    await boss.coupons.PutCouponTemplate(
        pb.PutCouponTemplateRequest(request_id=f"put-{template_id}", template_id=template_id, terms=terms(**changes))
    )
    activate = pb.ActivateCouponTemplateRequest(request_id=f"activate-{template_id}", template_id=template_id)
    await boss.coupons.ActivateCouponTemplate(activate)


async def issue(boss: Stubs, request_id: str = "r", **changes: object) -> coupon_pb2.Coupon:
    """A coupon issued."""
    reply = await boss.coupons.IssueCoupon(asked(pb.IssueCouponRequest, request_id=request_id, **changes))
    coupon: coupon_pb2.Coupon = reply.coupon
    return coupon


async def test_fifty_twins_are_one_coupon(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    await make_template(boss, limits=LIMITS)
    request = asked(pb.IssueCouponRequest)
    answers = await asyncio.gather(*(boss.coupons.IssueCoupon(request) for _ in range(50)))
    assert len({answer.SerializeToString() for answer in answers}) == 1
    assert await scalar(served.work, "SELECT count(*) FROM coupons") == 1
    other = asked(pb.IssueCouponRequest, reason="another")
    assert (await refused(boss, "IssueCoupon", other)).reason == "REQUEST_ID_REUSED"


async def test_a_batch_has_an_outcome_for_each(boss: Stubs) -> None:
    await become_member(boss)
    await make_template(boss)
    requests = [
        asked(pb.IssueCouponRequest, request_id=f"r-{n}", customer_id=who) for n, who in enumerate(["c-1", "x", "c/1"])
    ]
    reply = await boss.coupons.BatchIssueCoupons(pb.BatchIssueCouponsRequest(requests=requests))
    assert reply.results[0].response.coupon.state == coupon_pb2.COUPON_STATE_OPEN
    reasons = [from_status(each.error).reason for each in reply.results[1:]]
    assert reasons == ["CUSTOMER_NOT_FOUND", "INVALID_ARGUMENT"]
    voids = [
        asked(pb.VoidCouponRequest, request_id=f"v-{n}", coupon_id=name)
        for n, name in enumerate([reply.results[0].response.coupon.coupon_id, "none"])
    ]
    gone = await boss.coupons.BatchVoidCoupons(pb.BatchVoidCouponsRequest(requests=voids))
    assert gone.results[0].response.coupon.state == coupon_pb2.COUPON_STATE_VOID
    assert from_status(gone.results[1].error).reason == "COUPON_NOT_FOUND"


async def test_a_list_of_customers_is_worked_off_and_a_repeat_changes_nothing(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    await make_template(boss)
    customers = ["c-1", "nobody"] * 400
    await boss.coupons.StartCouponIssue(asked(pb.StartCouponIssueRequest, customer_ids=customers))
    again = asked(pb.StartCouponIssueRequest, customer_ids=customers, request_id="r-2")
    assert (await refused(boss, "StartCouponIssue", again)).reason == "JOB_ALREADY_STARTED"
    run = pb.RunCouponIssuesRequest(request_id="run", as_of=WHEN)
    await boss.coupons.RunCouponIssues(run)
    await boss.coupons.RunCouponIssues(run)
    job = (await boss.coupons.GetCouponIssue(pb.GetCouponIssueRequest(job_id="j-1"))).job
    assert (job.total, job.done, job.issued) == (800, 800, 400)
    assert await scalar(served.work, "SELECT count(*) FROM coupons") == 400
    page = await boss.coupons.ListCouponIssueItems(
        pb.ListCouponIssueItemsRequest(job_id="j-1", refused=True, page_size=2)
    )
    assert [(each.position, each.refusal) for each in page.items] == [
        (2, "CUSTOMER_NOT_FOUND"),
        (4, "CUSTOMER_NOT_FOUND"),
    ]
    assert page.next_page_token


@pytest.mark.parametrize("settings", [DATED_LONG_AGO])
async def test_a_member_quotes_reserves_and_uses_the_own_coupons(served: Serving, boss: Stubs) -> None:
    await become_member(boss, "c-1")
    await become_member(boss, "c-2")
    await make_template(boss)
    await make_template(boss, "t-2", minimum_spend_minor_units=1300)
    await make_template(boss, "t-3", channels=["hall"])
    coupon = await issue(boss)
    dear, hall = await issue(boss, "r-2", template_id="t-2"), await issue(boss, "r-3", template_id="t-3")
    await boss.coupons.ImportCouponCodes(asked(pb.ImportCouponCodesRequest, codes=["SUMMER2026"]))
    app = Stubs.of(served.channel(*SCOPES, subject="app", customer_id="c-1"))
    lines = order(unit_price_minor_units=1200)
    quote = await app.coupons.QuoteCoupons(
        asked(pb.QuoteCouponsRequest, order=lines, codes=["summer-2026", "WINTER2026"], occurred_at=WHEN)
    )
    assert (quote.pricing.discount.minor_units, quote.pricing.payable.minor_units, quote.exact) == (1200, 0, True)
    assert quote.pricing.parts[0].coupon_id == coupon.coupon_id
    assert list(quote.codes_to_claim) == ["SUMMER2026"]
    why = {each.coupon_id or each.code: (each.obstacle, each.words) for each in quote.not_used}
    assert why[dear.coupon_id] == (coupon_pb2.COUPON_OBSTACLE_SPEND_MORE, "spend 1.00 CNY more on what it covers")
    assert why[hall.coupon_id][0] == coupon_pb2.COUPON_OBSTACLE_OTHER_CHANNEL
    assert why["WINTER2026"][0] == coupon_pb2.COUPON_OBSTACLE_UNKNOWN_CODE
    reserve = asked(pb.ReserveCouponsRequest, order=lines, coupon_ids=[coupon.coupon_id], codes=["SUMMER2026"])
    reserved = await app.coupons.ReserveCoupons(reserve)
    assert reserved.pricing == quote.pricing
    redeemed = await app.coupons.RedeemReservedCoupons(asked(pb.RedeemReservedCouponsRequest))
    assert redeemed.discount.minor_units == 1200
    stranger = Stubs.of(served.channel(*SCOPES, subject="app", customer_id="c-2"))
    theft = asked(pb.RedeemCouponsRequest, customer_id="c-2", coupon_ids=[dear.coupon_id])
    assert (await refused(stranger, "RedeemCoupons", theft)).reason == "COUPON_NOT_FOUND"
    assert (await refused(stranger, "IssueCoupon", asked(pb.IssueCouponRequest))).reason == "NOT_YOUR_CUSTOMER"


async def test_a_desk_verifies_a_code_without_learning_whose_it_is(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    await make_template(boss)
    coupon = await issue(boss)
    desk = Stubs.of(served.channel("merchant.verify", subject="till"))
    ask = pb.VerifyCodeRequest(code=coupon.code.lower(), occurred_at=WHEN)
    told = await desk.coupons.VerifyCode(ask)
    assert (told.usable, told.words, told.terms.display_name) == (True, "", "Ten off")
    assert b"c-1" not in told.SerializeToString()
    await boss.coupons.VoidCoupon(asked(pb.VoidCouponRequest, coupon_id=coupon.coupon_id))
    told = await desk.coupons.VerifyCode(ask)
    assert (told.usable, told.words) == (False, "is void")


async def test_coupons_are_listed_soonest_to_expire_first_as_they_are_at_an_instant(boss: Stubs) -> None:
    await become_member(boss)
    for days in (5, 3, 9):
        await make_template(boss, f"t-{days}", validity=coupon_pb2.CouponValidity(days=days))
        await issue(boss, f"r-{days}", template_id=f"t-{days}")
    seen, token = [], ""
    while True:
        page = await boss.coupons.ListCoupons(
            pb.ListCouponsRequest(customer_id="c-1", as_of=to_proto(day(6)), page_size=1, page_token=token)
        )
        seen += [(each.template_id, each.state) for each in page.coupons]
        if not (token := page.next_page_token):
            break
    still, gone = coupon_pb2.COUPON_STATE_OPEN, coupon_pb2.COUPON_STATE_EXPIRED
    assert seen == [("t-3", gone), ("t-5", still), ("t-9", still)]
    soon = await boss.coupons.ListCoupons(
        pb.ListCouponsRequest(customer_id="c-1", as_of=to_proto(day(6)), states=[still], valid_until=to_proto(day(8)))
    )
    assert [each.template_id for each in soon.coupons] == ["t-5"]
    figures = await boss.coupons.GetCouponFigures(pb.GetCouponFiguresRequest(template_id="t-3", as_of=to_proto(day(6))))
    assert (figures.issued, figures.open, figures.expired) == (1, 0, 1)


async def test_figures_count_what_was_given_and_the_operators_proof_holds(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    await make_template(boss, limits=LIMITS)
    coupons = [await issue(boss, f"r-{n}") for n in range(4)]
    await boss.coupons.GenerateCouponCodes(asked(pb.GenerateCouponCodesRequest, count=5))
    listed = await boss.coupons.ListCouponCodes(pb.ListCouponCodesRequest(batch_id="b-1", page_size=3))
    assert (len(listed.coupons), bool(listed.next_page_token)) == (3, True)
    lines = order(unit_price_minor_units=700)
    spend = asked(pb.RedeemCouponsRequest, order=lines, coupon_ids=[coupons[0].coupon_id])
    await boss.coupons.RedeemCoupons(spend)
    await boss.coupons.ReserveCoupons(
        asked(pb.ReserveCouponsRequest, order_id="o-2", coupon_ids=[coupons[1].coupon_id])
    )
    figures = await boss.coupons.GetCouponFigures(pb.GetCouponFiguresRequest(template_id="t-1", as_of=WHEN))
    assert (figures.issued, figures.unassigned, figures.open) == (4, 5, 2)
    assert (figures.reserved, figures.redeemed, figures.discount_given.minor_units) == (1, 1, 700)
    ended = await boss.coupons.ExpireCoupons(pb.ExpireCouponsRequest(request_id="e", as_of=to_proto(day(40))))
    assert ended.expired == 3
    proof = await served.operations.Prove(operations_service_pb2.ProveRequest())
    assert proof.holds
    assert sum(check.claim.startswith("coupons: ") and check.examined == 9 for check in proof.checks) == 5
