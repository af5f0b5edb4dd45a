"""Coupons on the real database: issued, claimed, used, given back, withdrawn, expired, proven, and told."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from chassis.calendar import Period
from chassis.errors import InvalidArgument, Refusal
from chassis.work import Work
from member.domain.coupon import (
    CodeAlreadyClaimed,
    CodeNotFound,
    Coupon,
    CouponNotFound,
    CouponNotOpen,
    CouponsNotUsable,
    CouponState,
    MemberLimitReached,
    OrderHasCoupons,
    RedemptionNotFound,
    ReservationNotOpen,
    TooManyGuesses,
)
from member.domain.coupon_acts import Reserved
from member.domain.coupon_code import new_code, read_code
from member.domain.coupon_template import (
    AmountOff,
    Audience,
    Fixed,
    Lasting,
    Limits,
    NothingToActivate,
    Stacking,
    StockBelowUse,
    TemplateEnded,
    TemplateId,
)
from member.domain.customer import CustomerNotFound
from member.domain.program import GENERAL, TierId
from member.store.coupon_codes import GUESSES_MAX
from member.use_cases import coupon_templates

from services.member.tests.coupon_steps import (
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
from services.member.tests.factories import RECORDED_AT, day, enrolled, rows, scalar, told


def kinds(outcomes: list[Coupon | Refusal]) -> list[str]:
    """What each outcome is, by name."""
    return [type(outcome).__name__ for outcome in outcomes]


async def state_of(work: Work, coupon: Coupon) -> str:
    """The state as it is stored."""
    return str(await scalar(work, "SELECT state FROM coupons WHERE coupon_id = :id", id=coupon.coupon_id))


async def test_a_coupon_lasts_to_the_end_of_the_operators_day(work: Work) -> None:
    await put_customers(work, "c-1")
    await activated(work, terms(validity=Lasting(2)))
    coupon = await issued(work, occurred_at=day(1))
    # The first of January at 16:00 UTC is midnight in Shanghai; day 1 is the second of January there at 08:00.
    assert coupon.valid_to == day(4) - timedelta(hours=8)
    assert (coupon.valid_from, coupon.version, coupon.state) == (day(1), 1, CouponState.OPEN)
    assert await told(work, "CouponIssued") == 1
    await prove_coupons(work)


async def test_issuing_is_refused_one_by_one(work: Work) -> None:
    await put_customers(work, "c-1", "c-2")
    await activated(work, terms(limits=Limits(issued=3, issued_per_member=2)))
    twice = issue_command("c-1")
    outcomes = await issue(
        work,
        issue_command("c-1", template_id=TemplateId("none")),
        issue_command("nobody"),
        issue_command("c-1", person_id="nobody"),
        twice,
        twice,
        issue_command("c-1"),
        issue_command("c-1"),
        issue_command("c-1", person_id="p-1"),
        issue_command("c-2"),
    )
    assert kinds(outcomes) == [
        "TemplateNotFound",
        "CustomerNotFound",
        "PersonNotFound",
        "Coupon",
        "CouponAlreadyIssued",
        "Coupon",
        "MemberLimitReached",
        "Coupon",
        "StockExhausted",
    ]
    assert await scalar(work, "SELECT issued FROM coupon_templates") == 3
    await prove_coupons(work)


async def test_a_batch_of_a_thousand_is_issued_at_once(work: Work) -> None:
    ids = [f"c-{number:04}" for number in range(1000)]
    await put_customers(work, *ids)
    await activated(work, terms(limits=Limits(issued=990)))
    outcomes = await issue(work, *(issue_command(each) for each in ids))
    assert kinds(outcomes) == ["Coupon"] * 990 + ["StockExhausted"] * 10
    assert await told(work, "CouponIssued") == 990
    await prove_coupons(work)


async def test_what_was_issued_keeps_its_version_and_the_newest_limits_hold_for_all(work: Work) -> None:
    await put_customers(work, "c-1")
    await activated(work, terms())
    old = [await issued(work) for _ in range(2)]
    with pytest.raises(StockBelowUse):
        await activated(work, terms(limits=Limits(issued=1)))
    await activated(work, terms(discount=AmountOff(5_00), limits=Limits(issued=3, used=1)))
    new = await issued(work)
    assert [each.version for each in (*old, new)] == [1, 1, 2]
    assert kinds(await issue(work, issue_command())) == ["StockExhausted"]
    (first,) = await use(work, use_command(old[0].coupon_id))
    assert isinstance(first, Reserved)
    assert first.priced.discount_minor == 10_00
    (second,) = await use(work, use_command(new.coupon_id, order_id="o-2"))
    assert isinstance(second, CouponsNotUsable)
    assert "as many as there are" in second.message
    await prove_coupons(work)


async def test_a_draft_is_put_until_it_is_activated_and_an_ended_template_stays(work: Work) -> None:
    await put_customers(work, "c-1")
    put = coupon_templates.PutTemplate(TemplateId("t-1"), terms(), "op")
    first = await work.run(lambda t: coupon_templates.put_template(t, put))
    assert kinds(await issue(work, issue_command())) == ["TemplateNotActive"]
    assert await work.run(lambda t: coupon_templates.put_template(t, put)) == first
    changed = replace(put, terms=terms(display_name="Better"))
    assert (await work.run(lambda t: coupon_templates.put_template(t, changed))).version == 1
    await activated(work, changed.terms)
    with pytest.raises(NothingToActivate):
        await activated(work, changed.terms)
    coupon = await issued(work)
    end = coupon_templates.EndTemplate(TemplateId("t-1"), "over", "op")
    await work.run(lambda t: coupon_templates.end_template(t, end))
    assert kinds(await issue(work, issue_command())) == ["TemplateNotActive"]
    for again in (lambda t: coupon_templates.end_template(t, end), lambda t: coupon_templates.put_template(t, put)):
        with pytest.raises(TemplateEnded):
            await work.run(again)
    assert isinstance((await use(work, use_command(coupon.coupon_id)))[0], Reserved)
    acts = await rows(work, "SELECT act, version, actor FROM coupon_audit ORDER BY number")
    assert acts == [("put", 1, "op"), ("put", 1, "op"), ("activated", 1, "op"), ("ended", 1, "op")]
    assert await told(work, "CouponTemplateChanged") == 4


async def test_only_members_of_the_tiers_named_get_and_use_it(work: Work) -> None:
    await enrolled(work, "c-1")
    await put_customers(work, "c-2")
    await activated(work, terms(audience=(Audience(GENERAL, frozenset([TierId("standard")])),)))
    assert kinds(await issue(work, issue_command("c-2"), issue_command("c-1"))) == ["NotEligible", "Coupon"]
    await activated(work, terms(audience=(Audience(GENERAL, frozenset([TierId("gold")])),)), "t-2")
    assert kinds(await issue(work, issue_command("c-1", template_id=TemplateId("t-2")))) == ["NotEligible"]


async def test_a_coupon_is_reserved_and_spent_once(work: Work) -> None:
    await put_customers(work, "c-1", "c-2")
    await activated(work, terms(limits=Limits(used=5)))
    coupon = await issued(work)
    (reserved,) = await use(work, use_command(coupon.coupon_id))
    assert isinstance(reserved, Reserved)
    assert reserved.priced.parts[0].by_line == (10_00,)
    again = await use(
        work,
        use_command(coupon.coupon_id),
        use_command(coupon.coupon_id, order_id="o-2"),
        use_command(coupon.coupon_id, order_id="o-2", customer_id="c-2"),
    )
    assert [type(each) for each in again] == [OrderHasCoupons, CouponsNotUsable, CouponNotFound]
    assert isinstance(await redeem(work, customer_id="c-2"), ReservationNotOpen)
    spent = await redeem(work)
    assert not isinstance(spent, Refusal)
    assert [each.state for each in spent] == [CouponState.REDEEMED]
    assert isinstance(await redeem(work), ReservationNotOpen)
    assert isinstance(await release(work), ReservationNotOpen)
    assert [await told(work, name) for name in ("CouponReserved", "CouponRedeemed", "CouponReleased")] == [1, 1, 0]
    await prove_coupons(work)


@pytest.mark.parametrize(("at", "open_still"), [(day(4) - timedelta(microseconds=1), True), (day(4), False)])
async def test_a_reservation_ends_by_itself_at_its_instant(work: Work, at: datetime, open_still: bool) -> None:
    await put_customers(work, "c-1")
    await activated(work, terms(limits=Limits(used=1, used_per_member=1)))
    first, second = await issued(work), await issued(work)
    await use(work, use_command(first.coupon_id))
    (other,) = await use(work, use_command(second.coupon_id, order_id="o-2", occurred_at=at, ends_at=day(9)))
    assert isinstance(other, CouponsNotUsable if open_still else Reserved)
    assert isinstance(await redeem(work, at=5), ReservationNotOpen)
    assert await told(work, "CouponReleased") == (0 if open_still else 1)
    await prove_coupons(work)


async def test_a_reserved_coupon_outlives_its_life_and_expires_when_it_is_freed(work: Work) -> None:
    await put_customers(work, "c-1")
    await activated(work, terms(validity=Lasting(2)))
    kept, lost, lapsed = [await issued(work) for _ in range(3)]
    for number, coupon in enumerate((kept, lost, lapsed)):
        await use(work, use_command(coupon.coupon_id, order_id=f"o-{number}", ends_at=day(20)))
    assert (await expire(work, 10)).expired == 0
    await redeem(work, at=12, order_id="o-0")
    await release(work, at=12, order_id="o-1")
    assert (await expire(work, 20)).expired == 1
    assert [await state_of(work, each) for each in (kept, lost, lapsed)] == ["redeemed", "expired", "expired"]
    ends = await rows(work, "SELECT occurred_at FROM coupon_steps WHERE act = 'expired' ORDER BY occurred_at")
    assert ends == [(day(12),), (day(20),)]
    assert await told(work, "CouponExpired") == 2
    await prove_coupons(work)


async def test_a_redemption_undone_makes_the_coupon_good_again_as_its_terms_say(work: Work) -> None:
    await put_customers(work, "c-1")
    await activated(work, terms(validity=Lasting(2), limits=Limits(used=2)), "plain")
    await activated(work, terms(validity=Lasting(2), grace_days=7), "kind")
    early = await issued(work, template_id=TemplateId("plain"))
    late = await issued(work, template_id=TemplateId("plain"))
    kind = await issued(work, template_id=TemplateId("kind"))
    await use(work, use_command(early.coupon_id, order_id="o-0", ends_at=None))
    assert isinstance(await reverse(work, at=3, order_id="o-0"), list)
    await use(work, use_command(late.coupon_id, kind.coupon_id, ends_at=None))
    assert isinstance(await reverse(work, early.coupon_id), RedemptionNotFound)
    assert isinstance(await reverse(work, at=8), list)
    assert isinstance(await reverse(work, at=8), RedemptionNotFound)
    assert [await state_of(work, each) for each in (early, late, kind)] == ["open", "expired", "open"]
    assert await scalar(work, "SELECT valid_to FROM coupons WHERE template_id = 'kind'") == day(16) - timedelta(hours=8)
    assert await scalar(work, "SELECT used FROM coupon_templates WHERE template_id = 'plain'") == 0
    assert await told(work, "CouponRedemptionReversed") == 3
    await prove_coupons(work)


async def test_a_member_uses_so_many_in_a_period_of_the_operators_calendar(work: Work) -> None:
    await put_customers(work, "c-1")
    await activated(work, terms(limits=Limits(used_per_member=1, period=Period.DAY)))
    coupons = [await issued(work) for _ in range(3)]
    midnight = day(3) - timedelta(hours=8)
    instants = [midnight - timedelta(hours=2), midnight - timedelta(microseconds=1), midnight]
    outcomes = [
        (await use(work, use_command(each.coupon_id, order_id=f"o-{n}", occurred_at=at, ends_at=None)))[0]
        for n, (each, at) in enumerate(zip(coupons, instants, strict=True))
    ]
    assert [type(each) for each in outcomes] == [Reserved, CouponsNotUsable, Reserved]
    both = use_command(
        coupons[1].coupon_id, (await issued(work)).coupon_id, order_id="o-9", occurred_at=day(5), ends_at=None
    )
    assert isinstance((await use(work, both))[0], CouponsNotUsable)


async def test_all_of_an_orders_coupons_are_used_or_none(work: Work) -> None:
    await put_customers(work, "c-1")
    await activated(work, terms())
    await activated(work, terms(stacking=Stacking(exclusive=True)), "alone")
    await activated(work, terms(minimum_minor=112_00), "dear")
    one, alone, dear = (
        await issued(work),
        await issued(work, template_id=TemplateId("alone")),
        await issued(work, template_id=TemplateId("dear")),
    )
    (refused,) = await use(work, use_command(one.coupon_id, dear.coupon_id))
    assert isinstance(refused, CouponsNotUsable)
    assert refused.metadata == {f"coupon {dear.coupon_id}": "spend 12.00 CNY more on what it covers"}
    (refused,) = await use(work, use_command(one.coupon_id, alone.coupon_id))
    assert isinstance(refused, CouponsNotUsable)
    assert await scalar(work, "SELECT count(*) FROM coupons WHERE state <> 'open'") == 0


async def test_a_code_is_claimed_once(work: Work) -> None:
    await put_customers(work, "c-1", "c-2", "c-3")
    await activated(work, terms(validity=Lasting(2), limits=Limits(issued=2, issued_per_member=1)))
    first, second = await codes_made(work, 2)
    assert await scalar(work, "SELECT count(*) FROM coupons WHERE valid_to IS NULL") == 2
    claimed = await claim(work, first.lower(), at=10)
    assert isinstance(claimed, Coupon)
    assert claimed.valid_to == day(13) - timedelta(hours=8)
    assert isinstance(await claim(work, first), CodeAlreadyClaimed)
    assert isinstance(await claim(work, first, "c-2"), CodeNotFound)
    assert isinstance(await claim(work, second), MemberLimitReached)
    assert isinstance(await claim(work, second, "nobody"), CustomerNotFound)
    assert isinstance(await claim(work, second, "c-2"), Coupon)
    assert kinds(await issue(work, issue_command("c-3"))) == ["StockExhausted"]
    await prove_coupons(work)


async def test_a_code_is_claimed_when_it_is_used(work: Work) -> None:
    await put_customers(work, "c-1", "c-2")
    await activated(work, terms())
    await activated(work, terms(minimum_minor=200_00), "dear")
    (code,), (dear,) = await codes_made(work, 1), await codes_made(work, 1, template_id="dear")
    (refused,) = await use(work, use_command(codes=(read_code("c", code), read_code("c", dear))))
    assert isinstance(refused, CouponsNotUsable)
    assert await scalar(work, "SELECT count(*) FROM coupons WHERE state = 'unassigned'") == 2
    (used,) = await use(work, use_command(codes=(read_code("c", code),), ends_at=None))
    assert isinstance(used, Reserved)
    (stolen,) = await use(work, use_command(codes=(read_code("c", code),), customer_id="c-2"))
    assert isinstance(stolen, CodeNotFound)
    await prove_coupons(work)


async def test_who_guesses_codes_is_held_back(work: Work) -> None:
    await put_customers(work, "c-1")
    await activated(work, terms())
    (code,) = await codes_made(work, 1)
    for _ in range(GUESSES_MAX):
        assert isinstance(await claim(work, new_code(), caller="thief"), CodeNotFound)
    assert isinstance(await claim(work, code, caller="thief"), TooManyGuesses)
    (held_back,) = await use(work, use_command(codes=(read_code("code", code),), caller="thief"))
    assert isinstance(held_back, TooManyGuesses)
    assert isinstance(await claim(work, code, caller="app"), Coupon)


async def test_a_coupon_is_withdrawn_unless_it_is_in_use(work: Work) -> None:
    await put_customers(work, "c-1")
    await activated(work, terms())
    first, second = await issued(work), await issued(work)
    await use(work, use_command(second.coupon_id))
    assert isinstance(await void(work, first.coupon_id), Coupon)
    assert isinstance(await void(work, first.coupon_id), CouponNotOpen)
    assert isinstance(await void(work, second.coupon_id), CouponNotOpen)
    assert isinstance(await void(work, second.coupon_id, at=4), Coupon)
    assert isinstance(await void(work, "none"), CouponNotFound)
    noted = await rows(work, "SELECT reason, actor FROM coupon_steps WHERE act = 'voided'")
    assert noted == [("by mistake", "op")] * 2
    await prove_coupons(work)


async def test_rounds_end_what_is_due_and_a_second_pass_nothing(work: Work) -> None:
    await put_customers(work, "c-1")
    await activated(work, terms(validity=Fixed(day(0), day(5))))
    await issue(work, *(issue_command() for _ in range(5)))
    await codes_made(work, 2)
    assert [(await expire(work, 5, most=4)).coupons for _ in range(3)] == [4, 3, 0]
    assert await scalar(work, "SELECT count(*) FROM coupons WHERE state = 'expired'") == 7
    assert await told(work, "CouponExpired") == 5
    assert kinds(await issue(work, issue_command(occurred_at=day(5)))) == ["ValidityOver"]
    await prove_coupons(work)


def test_terms_that_no_coupon_could_have_are_malformed() -> None:
    with pytest.raises(InvalidArgument) as refusal:
        coupon_templates.PutTemplate(
            TemplateId("t"),
            terms(
                discount=AmountOff(0),
                currency="yuan",
                validity=Fixed(day(1), day(1)),
                stacking=Stacking(group_limit=1),
                limits=Limits(issued=-1),
            ),
            "op",
        )
    assert [each.field for each in refusal.value.violations] == [
        "terms.currency",
        "terms.discount.amount_off_minor_units",
        "terms.validity.fixed.end",
        "terms.stacking.group",
        "terms.limits.issued",
    ]


async def test_who_dates_an_act_ahead_ends_nothing_of_others(work: Work) -> None:
    await put_customers(work, "c-1", "c-2", "c-3")
    await activated(work, terms(limits=Limits(used=1), validity=Lasting(400)))
    mine, other = await issued(work, "c-1"), await issued(work, "c-2")
    ahead = RECORDED_AT + timedelta(days=1)
    (reserved,) = await use(work, use_command(mine.coupon_id, occurred_at=RECORDED_AT, ends_at=ahead))
    assert isinstance(reserved, Reserved)
    thief = use_command(other.coupon_id, customer_id="c-2", order_id="o-2", occurred_at=ahead, ends_at=None)
    assert isinstance((await use(work, thief))[0], CouponsNotUsable)
    assert await state_of(work, mine) == "reserved"

    # Calls that come at the same time are carried out together.
    await activated(work, terms(validity=Lasting(400)), "t-2")
    first, second = [await issued(work, each, template_id=TemplateId("t-2")) for each in ("c-2", "c-3")]
    later = use_command(first.coupon_id, customer_id="c-2", occurred_at=day(500), ends_at=day(501))
    outcomes = await use(work, later, use_command(second.coupon_id, customer_id="c-3"))
    assert [type(each) for each in outcomes] == [CouponsNotUsable, Reserved]

    held = await issued(work, "c-1", template_id=TemplateId("t-2"))
    outcome = await claim(work, held.code, customer_id="c-2", at=500)
    assert isinstance(outcome, CodeNotFound)
    assert await state_of(work, held) == "open"
    await prove_coupons(work)


async def test_a_lapse_makes_room_for_two_where_one_was_left(work: Work) -> None:
    await put_customers(work, "c-1", "c-2")
    await activated(work, terms(limits=Limits(used=2)))
    mine = await issued(work, "c-1")
    two = [await issued(work, "c-2") for _ in range(2)]
    (reserved,) = await use(work, use_command(mine.coupon_id))
    assert isinstance(reserved, Reserved)
    both = use_command(*(each.coupon_id for each in two), customer_id="c-2", occurred_at=day(5), ends_at=day(6))
    assert isinstance((await use(work, both))[0], Reserved)
    await prove_coupons(work)
