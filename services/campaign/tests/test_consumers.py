"""Events of other services over the broker: what they become, once each, and in any order."""

import random
from typing import Any

import pytest
from campaign.catalogue import ready_made
from campaign.domain.matching import CampaignId
from campaign.use_cases.live import LiveRules
from chassis.testing.serving import Serving
from chassis.times import to_proto
from sqlalchemy import text
from touchstone.billing.v1 import billing_events_pb2 as billing
from touchstone.member.v1 import care_events_pb2, care_pb2, member_pb2
from touchstone.member.v1 import member_events_pb2 as member
from touchstone.scoring.v1 import scoring_events_pb2 as scoring
from touchstone.scoring.v1 import scoring_pb2

from services.campaign.tests.factories import NOON, RECORDED_AT, days, decided, launched, plan, tell, yuan


async def campaigns(served: Serving, **rules: tuple[str, str]) -> None:
    """Live campaigns by name, each with an event type and a rule."""
    live = LiveRules(ready_made())
    for name, (event_type, rule) in rules.items():
        await launched(served.work, live, plan(rule, event_type=event_type), CampaignId(name))


async def made(served: Serving) -> set[tuple[str, str]]:
    """Which campaign decided for whom."""
    await served.settle()
    return {(each.campaign_id, each.customer_id) for each in await decided(served.work)}


async def tags_of(served: Serving, customer_id: str) -> dict[str, Any]:
    """The current tags of a customer."""
    await served.settle()
    query = text("SELECT tag_id, value FROM customer_tags WHERE customer_id = :customer_id")
    async with served.work.reading() as connection:
        found = await connection.execute(query, {"customer_id": customer_id})
        return {row.tag_id: row.value for row in found}


def charge(customer_id: str, number: int, day: float, amount: float = 12.5) -> billing.AccountCharged:
    return billing.AccountCharged(
        charge_id=f"{customer_id}-{number}",
        account_id=f"account-{customer_id}",
        customer_id=customer_id,
        amount=yuan(amount),
        balance_after=yuan(100 - number),
        account_version=number,
        occurred_at=to_proto(NOON + days(day)),
    )


def scored(customer_id: str, revision: int, *, band: str = "B", lapsed: bool = False) -> scoring.CustomerScored:
    as_of = to_proto(NOON + days(7 * revision))
    score = scoring_pb2.Score(
        customer_id=customer_id,
        run_id=f"run-{revision}",
        as_of=as_of,
        recency_weeks=10.0,
        age_weeks=30.5,
        p_alive=0.25,
        expected_purchases=1.5,
        lifetime_value_minor=12_345,
        monetary_minor=4_200,
        recency_quintile=2,
        frequency_quintile=3,
        monetary_quintile=4,
        decile=5,
        band=band,
        lapsed=lapsed,
    )
    return scoring.CustomerScored(score=score, occurred_at=as_of, revision=revision)


def tier_changed(revision: int, tiers: tuple[str, str], ranks: tuple[int, int]) -> member.TierChanged:
    return member.TierChanged(
        member_id="m-ann",
        customer_id="ann",
        program_id="club",
        previous_tier_id=tiers[0],
        tier_id=tiers[1],
        previous_rank=ranks[0],
        rank=ranks[1],
        occurred_at=to_proto(NOON + days(revision)),
        revision=revision,
    )


async def test_a_second_purchase_within_thirty_days_is_found(served: Serving) -> None:
    rule = "event.purchase_number == 2 && event.days_since_previous_purchase <= 30.0"
    await campaigns(served, again=("purchase_made", rule), first=("purchase_made", "event.purchase_number == 1"))
    charges = [charge("ann", 1, 0), charge("ann", 2, 30), charge("bob", 1, 0), charge("bob", 2, 31, 0.0)]
    await tell(served, "billing", charges)
    assert await made(served) == {("first", "ann"), ("first", "bob"), ("again", "ann")}
    assert (await tags_of(served, "bob"))["purchases_total"] == 2
    assert (await tags_of(served, "ann"))["balance_minor"] == 9_800


async def test_what_billing_tells_becomes_customer_events(served: Serving) -> None:
    await campaigns(
        served,
        top_up=("top_up_succeeded", "event.amount_minor == 5000 && event.payment_channel == 'hall'"),
        low=("balance_below_l1", "event.balance_minor < event.threshold_minor && tags.below_threshold"),
        bill=("bill_issued", "event.amount_minor == 2000 && event.bill_id == 'b-1'"),
        paid=("payment_received", "event.amount_minor == 2000"),
        restored=("balance_restored", "event.balance_minor >= event.threshold_minor && !tags.below_threshold"),
    )
    of_ann: dict[str, Any] = {"account_id": "a", "customer_id": "ann", "occurred_at": to_proto(NOON)}
    await tell(
        served,
        "billing",
        [
            billing.AccountRecharged(**of_ann, amount=yuan(50), balance_after=yuan(60), channel="hall"),
            billing.BalanceFellBelowThreshold(**of_ann, balance=yuan(5), threshold=yuan(10), account_version=2),
            billing.BillIssued(**of_ann, bill_id="b-1", amount=yuan(20)),
            billing.BillPaid(**of_ann, bill_id="b-1", amount=yuan(20)),
        ],
    )
    assert await made(served) == {(name, "ann") for name in ("top_up", "low", "bill", "paid")}
    await tell(
        served,
        "billing",
        [billing.BalanceRestored(**of_ann, balance=yuan(25), threshold=yuan(10), account_version=3)],
    )
    assert ("restored", "ann") in await made(served)


@pytest.mark.parametrize("turned_round", [False, True])
async def test_a_fall_without_a_movement_comes_after_the_return_that_it_shares_a_version_with(
    served: Serving, turned_round: bool
) -> None:
    of_ann: dict[str, Any] = {"account_id": "a-1", "customer_id": "ann", "occurred_at": to_proto(NOON)}
    at_six = {**of_ann, "balance": yuan(25), "account_version": 6}
    told: list[Any] = [
        billing.BalanceRestored(**at_six, threshold=yuan(10)),
        billing.BalanceFellBelowThreshold(**at_six, threshold=yuan(50)),
    ]
    for message in reversed(told) if turned_round else told:
        await tell(served, "billing", [message])
        await served.settle()
    assert (await tags_of(served, "ann"))["below_threshold"] is True
    back = billing.BalanceRestored(**{**at_six, "account_version": 7}, threshold=yuan(50))
    await tell(served, "billing", [back])
    assert (await tags_of(served, "ann"))["below_threshold"] is False


def fell_or_back(account_id: str, version: int, day: float, *, below: bool) -> Any:
    """An account fell, or is back."""
    made = billing.BalanceFellBelowThreshold if below else billing.BalanceRestored
    return made(
        account_id=account_id,
        customer_id="ann",
        account_version=version,
        balance=yuan(5),
        threshold=yuan(10),
        occurred_at=to_proto(NOON + days(day)),
    )


@pytest.mark.parametrize("seed", range(4))
async def test_what_an_account_says_last_stands_whatever_its_business_time(served: Serving, seed: int) -> None:
    """A late charge takes it below after a newer recharge had brought it back."""
    told: list[Any] = [
        fell_or_back("a-1", 2, 1, below=True),
        fell_or_back("a-1", 3, 9, below=False),
        fell_or_back("a-1", 4, 4, below=True),
        charge("ann", 2, 1),
        charge("ann", 3, 9),
        charge("ann", 4, 4),
    ]
    random.Random(seed).shuffle(told)
    for message in told:
        await tell(served, "billing", [message])
        await served.settle()
    tags = await tags_of(served, "ann")
    assert (tags["below_threshold"], tags["balance_minor"]) == (True, 9_600)


@pytest.mark.parametrize("seed", range(4))
async def test_between_accounts_the_one_that_moved_last_decides(served: Serving, seed: int) -> None:
    """Their sequences say nothing about each other, and the order of telling decides nothing."""
    told: list[Any] = [
        fell_or_back("busy", 900, 3, below=True),
        fell_or_back("busy", 901, 2, below=False),
        fell_or_back("new", 2, 5, below=False),
        fell_or_back("new", 3, 4, below=True),
    ]
    random.Random(seed).shuffle(told)
    for message in told:
        await tell(served, "billing", [message])
        await served.settle()
    assert (await tags_of(served, "ann"))["below_threshold"] is True
    await tell(served, "billing", [fell_or_back("busy", 902, 6, below=False)])
    assert (await tags_of(served, "ann"))["below_threshold"] is False


async def test_what_an_account_says_is_the_same_told_at_once(served: Serving) -> None:
    told = [fell_or_back("a-1", version, 10 - version, below=version % 2 == 0) for version in range(1, 7)]
    await tell(served, "billing", told)
    assert (await tags_of(served, "ann"))["below_threshold"] is True


async def test_what_member_tells_becomes_events_and_tags(served: Serving) -> None:
    await campaigns(
        served,
        welcome=("enrolled", "event.tier == 'basic' && tags.is_member"),
        up=("tier_upgraded", "event.tier == 'gold' && event.previous_tier == 'basic' && tags.tier == 'gold'"),
        down=("tier_downgraded", "tags.tier == 'basic'"),
        rich=("points_earned", "event.points_balance > 500"),
    )
    of_ann: dict[str, Any] = {"member_id": "m-ann", "customer_id": "ann", "occurred_at": to_proto(NOON)}
    enrolled = member.MemberEnrolled(**of_ann, program_id="club", tier_id="basic")
    earned = member.PointsEarned(**of_ann, points=10, balance_after=510, account_version=4)
    household = member_pb2.CUSTOMER_KIND_HOUSEHOLD
    registered = member.CustomerRegistered(customer_id="ann", kind=household, occurred_at=to_proto(NOON), revision=1)
    # Points of a person, and of another program, are none of the customer's balance.
    others = [
        member.PointsEarned(**of_ann, points=1, balance_after=1, account_version=9, person_id="p-1"),
        member.PointsRedeemed(**of_ann, points=1, balance_after=2, account_version=9, program_id="club"),
    ]
    await tell(served, "member", [registered, enrolled, earned, *others, tier_changed(1, ("", "basic"), (0, 0))])
    assert await made(served) == {("welcome", "ann"), ("rich", "ann")}
    await tell(served, "member", [tier_changed(2, ("basic", "gold"), (0, 2))])
    assert ("up", "ann") in await made(served)
    await tell(served, "member", [tier_changed(3, ("gold", "basic"), (2, 0))])
    assert ("down", "ann") in await made(served)
    tags = await tags_of(served, "ann")
    assert tags == {"customer_kind": "household", "is_member": True, "points_balance": 510, "tier": "basic"}


async def test_points_that_go_back_end_or_change_hands_are_heard(served: Serving) -> None:
    await campaigns(served, back=("points_reversed", "event.points < 0"), gone=("points_expired", "event.points == 30"))
    of_ann: dict[str, Any] = {"member_id": "m-ann", "customer_id": "ann", "program_id": "general"}
    of_ann["occurred_at"] = to_proto(NOON)
    await tell(served, "member", [member.PointsReversed(**of_ann, points=-10, balance_after=90, account_version=2)])
    assert (await tags_of(served, "ann"))["points_balance"] == 90
    await tell(served, "member", [member.PointsExpired(**of_ann, points=30, balance_after=60, account_version=3)])
    assert (await tags_of(served, "ann"))["points_balance"] == 60
    assert await made(served) == {("back", "ann"), ("gone", "ann")}
    sent = member.PointsTransferred(
        customer_id="ann",
        program_id="general",
        from_balance_after=0,
        from_account_version=4,
        to_customer_id="bob",
        to_balance_after=70,
        to_account_version=9,
        occurred_at=to_proto(NOON),
    )
    await tell(served, "member", [sent])
    balances = [(await tags_of(served, each))["points_balance"] for each in ("ann", "bob")]
    within = member.PointsTransferred(
        customer_id="bob",
        program_id="general",
        to_person_id="p-1",
        from_balance_after=50,
        from_account_version=10,
        to_balance_after=20,
        to_account_version=1,
        occurred_at=to_proto(NOON),
    )
    await tell(served, "member", [within])
    assert (balances, (await tags_of(served, "bob"))["points_balance"]) == ([0, 70], 50)


async def test_an_older_state_is_dropped(served: Serving) -> None:
    await campaigns(served, up=("tier_upgraded", "true"), grade=("value_grade_changed", "true"))
    await tell(served, "member", [tier_changed(3, ("silver", "gold"), (1, 2))])
    await tell(served, "scoring", [scored("bob", 3, band="A")])
    await served.settle()
    await tell(served, "member", [tier_changed(2, ("basic", "silver"), (0, 1))])
    await tell(served, "scoring", [scored("bob", 2, band="D")])
    await served.settle()
    assert len(await decided(served.work)) == 2
    assert (await tags_of(served, "ann"))["tier"] == "gold"
    assert (await tags_of(served, "bob"))["value_band"] == "A"


async def test_a_score_that_no_fit_stands_behind_has_no_band_and_changes_none(served: Serving) -> None:
    await campaigns(served, grade=("value_grade_changed", "true"))
    await tell(served, "scoring", [scored("bob", 1, band="A"), scored("ann", 1, band="")])
    await tell(served, "scoring", [scored("bob", 2, band=""), scored("ann", 2, band="")])
    assert await made(served) == {("grade", "bob"), ("grade", "ann")}
    assert len(await decided(served.work)) == 2, "once each, when the first score was told"
    assert (await tags_of(served, "bob"))["value_band"] == "A"
    assert "value_band" not in await tags_of(served, "ann")


async def test_a_lapsed_buyer_is_found_by_score(served: Serving) -> None:
    await campaigns(
        served,
        lapsed=("value_grade_changed", "event.lapsed && tags.lapsed && event.p_alive < 0.5"),
        climbed=("value_grade_changed", "event.previous_value_band == 'B' && event.value_band == 'A'"),
    )
    await tell(served, "scoring", [scored("ann", 1), scored("bob", 1, lapsed=True)])
    assert await made(served) == {("lapsed", "bob")}
    await tell(served, "scoring", [scored("ann", 2), scored("bob", 2, lapsed=True)])
    assert len(await made(served)) == 1
    await tell(served, "scoring", [scored("ann", 3, lapsed=True), scored("bob", 3, band="A")])
    assert await made(served) == {("lapsed", "bob"), ("lapsed", "ann"), ("climbed", "bob")}
    assert await tags_of(served, "ann") == {
        "average_purchase_minor": 4_200,
        "days_since_last_purchase": 144,
        "expected_purchases": 1.5,
        "lapsed": True,
        "lifetime_value_minor": 12_345,
        "p_alive": 0.25,
        "rfm_frequency": 3,
        "rfm_monetary": 4,
        "rfm_recency": 2,
        "value_band": "B",
        "value_decile": 5,
    }


async def test_redelivery_in_any_order_changes_nothing(served: Serving) -> None:
    await campaigns(served, every=("purchase_made", "true"))
    charges = [charge(f"c-{n % 7}", n, n) for n in range(60)]
    ids = await tell(served, "billing", charges)
    first = await made(served), len(await decided(served.work)), await tags_of(served, "c-3")
    again = list(zip(charges, ids, strict=True))
    random.Random(5).shuffle(again)
    await tell(served, "billing", [each for each, _ in again], [event_id for _, event_id in again])
    assert (await made(served), len(await decided(served.work)), await tags_of(served, "c-3")) == first
    assert first[1] == 60


async def test_what_names_nobody_is_put_aside_and_stops_nothing(served: Serving) -> None:
    await campaigns(served, every=("purchase_made", "true"))
    await tell(served, "billing", [charge("", 1, 0), charge("ann", 1, 0)])
    assert await made(served) == {("every", "ann")}
    async with served.work.reading() as connection:
        (letter,) = (await connection.execute(text("SELECT error, recorded_at FROM dead_letters"))).all()
    assert "customer_id" in letter.error
    assert letter.recorded_at > RECORDED_AT


async def test_care_that_has_a_customer_event_is_one(served: Serving) -> None:
    await campaigns(served, birthday=("birthday", "true"), years=("anniversary", "event.tenure_years == 5"))
    due = [
        ("ann", care_pb2.CARE_OCCASION_BIRTHDAY, 0),
        ("bob", care_pb2.CARE_OCCASION_MEMBERSHIP_ANNIVERSARY, 5),
        ("cat", care_pb2.CARE_OCCASION_SERVICE_ANNIVERSARY, 5),
        ("dan", care_pb2.CARE_OCCASION_SERVICE_ANNIVERSARY, 4),
        ("eve", care_pb2.CARE_OCCASION_HOLIDAY, 0),
        ("fay", care_pb2.CARE_OCCASION_LONG_HELD_NUMBER, 5),
    ]
    told = [
        care_events_pb2.CareDue(
            care_id=f"care-{name}", customer_id=name, occasion=occasion, years=years, occurred_at=to_proto(NOON)
        )
        for name, occasion, years in due
    ]
    await tell(served, "member", told)
    assert await made(served) == {("birthday", "ann"), ("years", "bob"), ("years", "cat")}
