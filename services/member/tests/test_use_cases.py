"""Use cases on the real database: what they change, what they refuse, what they tell."""

from typing import Any

import pytest
from chassis.errors import InvalidArgument, Refusal
from chassis.ids import new_id
from chassis.money import Money
from chassis.paging import Page
from chassis.work import Transaction, Work
from ledger import CaptureExceedsHold, HoldEnded, HoldExpired, HoldNotFound, InsufficientBalance, SourceReused
from member.domain.customer import CustomerId, CustomerNotFound
from member.domain.membership import AlreadyEnrolled, MemberNotFound, Standing
from member.domain.points import HoldEnd, PointsKind
from member.domain.program import GENERAL, EvaluationTooOld, Program, ProgramId, ProgramNotFound, TierInUse
from member.store.customers import PutCustomer
from member.use_cases import balances, memberships, programs, proving, spending
from member.use_cases.customers import UpsertCustomer, upsert_customers
from member.use_cases.earning import AwardPoints, Booked, RewardPayment
from member.use_cases.memberships import EnrolCustomer, enrol_customers
from member.use_cases.programs import PutProgram
from member.use_cases.tiers import EvaluateTiers, Evaluation, evaluate_tiers

from services.member.tests.factories import (
    GOLD,
    JANUARY,
    SILVER,
    STANDARD,
    award,
    awarded,
    customer,
    day,
    enrolled,
    person,
    program,
    reward,
    rewarded,
    rows,
    scalar,
    told,
)

C1 = CustomerId("c-1")


async def put(work: Work, *commands: UpsertCustomer) -> list[PutCustomer]:
    """Customers put in one transaction."""
    return await work.run(lambda transaction: upsert_customers(transaction, commands))


async def enrol(work: Work, *commands: EnrolCustomer) -> list[Standing | Refusal]:
    """Customers enrolled in one transaction."""
    return await work.run(lambda transaction: enrol_customers(transaction, commands))


async def put_program(work: Work, wanted: Program) -> Program:
    """A program put."""
    return await work.run(lambda transaction: programs.put_program(transaction, PutProgram(wanted)))


async def evaluate(work: Work, number: int, program_id: ProgramId = GENERAL) -> Evaluation:
    """Tiers judged on a day."""
    return await work.run(lambda transaction: evaluate_tiers(transaction, EvaluateTiers(program_id, day(number))))


async def balance(work: Work, customer_id: CustomerId = C1, *, on: int | None = None) -> tuple[int, int]:
    """Points owned and held, as booked or on a day."""
    async with work.reading() as connection:
        found, _ = await balances.get_balance(connection, customer_id, GENERAL, as_of=None if on is None else day(on))
    return found.balance, found.held


async def hold(work: Work, points: int, **changes: Any) -> Booked:
    """Points set aside on day 2 until day 5."""
    values: dict[str, Any] = {"hold_id": "h-1", "customer_id": C1, "occurred_at": day(2), "expires_at": day(5)}
    command = spending.HoldPoints(program_id=GENERAL, points=points, reason="cup", **values | changes)
    return await work.run(lambda transaction: spending.hold_points(transaction, command))


async def confirm(work: Work, points: int | None, *, on: int = 3, customer_id: CustomerId = C1) -> Booked:
    """The hold spent."""
    command = spending.ConfirmHold(customer_id, HoldEnd(new_id(), "h-1", day(on)), points)
    return await work.run(lambda transaction: spending.confirm_hold(transaction, command))


async def release(work: Work, *, on: int = 3, customer_id: CustomerId = C1) -> Booked:
    """The hold freed."""
    command = spending.ReleaseHold(customer_id, HoldEnd(new_id(), "h-1", day(on)))
    return await work.run(lambda transaction: spending.release_hold(transaction, command))


async def expire(work: Work, number: int) -> spending.Expired:
    """One round of expiries booked on a day."""
    return await work.run(lambda transaction: spending.expire_points(transaction, day(number)))


async def prove(work: Work) -> None:
    """Every claim holds."""
    async with work.reading() as connection:
        checks = await proving.prove(connection)
    assert [check for check in checks if not check.holds] == []


async def test_the_same_customer_again_changes_nothing(work: Work) -> None:
    ((first), (again)) = await put(work, UpsertCustomer(customer()), UpsertCustomer(customer()))
    assert (first.created, first.customer.revision) == (True, 1)
    assert (again.created, again.changed, again.customer.revision) == (False, False, 1)
    (third,) = await put(work, UpsertCustomer(customer(revision=99)))
    assert (third.changed, third.customer.revision) == (False, 1)
    assert await told(work, "CustomerRegistered") == 1


async def test_a_change_of_anything_raises_the_revision_and_is_told(work: Work) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"display_name": "Household Li"},
        {"persons": (person(role="child"),)},
        {"subscribers": ()},
        {"registered_at": day(1)},
    ]
    for revision, change in enumerate(changes, 1):
        (outcome,) = await put(work, UpsertCustomer(customer(**change)))
        assert outcome.customer.revision == revision
    assert await told(work, "CustomerRegistered") == len(changes)


async def test_a_batch_that_names_a_customer_thrice_is_done_in_order(work: Work) -> None:
    names = ["A", "B", "B"]
    outcomes = await put(work, *(UpsertCustomer(customer(display_name=name)) for name in names))
    assert [(each.customer.revision, each.created, each.changed) for each in outcomes] == [
        (1, True, True),
        (2, False, True),
        (2, False, False),
    ]
    assert await scalar(work, "SELECT profile->>'display_name' FROM customers") == "B"


async def test_personal_data_stand_in_one_column_and_in_no_event(work: Work) -> None:
    await enrolled(work, "c-1")
    await awarded(work, award(10, at=day(1)))
    for table, columns in (
        ("outbox", "payload::text"),
        ("members", "members::text"),
        ("tier_history", "tier_history::text"),
    ):
        found = await rows(work, f"SELECT {columns} FROM {table}")
        assert found
        for secret in ("Wang", "13800138000", "fang@example.com"):
            assert not [row for row in found if secret in row[0] or secret.encode().hex() in row[0]]


async def test_enrolling_takes_the_first_tier_and_tells_it(work: Work) -> None:
    (standing,) = await enrolled(work, "c-1")
    assert (standing.tier, standing.next_tier, standing.points_to_next_tier) == (STANDARD, SILVER, 300)
    assert (await told(work, "MemberEnrolled"), await told(work, "TierChanged")) == (1, 1)
    assert await balance(work) == (0, 0)


async def test_each_enrolment_of_a_batch_has_its_own_outcome(work: Work) -> None:
    await enrolled(work, "c-1")
    await put(work, UpsertCustomer(customer("c-2")))
    asked = [("c-1", GENERAL), ("c-2", GENERAL), ("c-2", GENERAL), ("nobody", GENERAL), ("c-2", ProgramId("none"))]
    outcomes = await enrol(work, *(EnrolCustomer(CustomerId(who), where, day(1)) for who, where in asked))
    kinds = [AlreadyEnrolled, Standing, AlreadyEnrolled, CustomerNotFound, ProgramNotFound]
    assert [type(outcome) for outcome in outcomes] == kinds
    assert await told(work, "MemberEnrolled") == 2
    await prove(work)


async def test_a_hundred_yuan_give_a_hundred_points_and_more_after_an_upgrade_from_then_on(work: Work) -> None:
    await enrolled(work, "c-1")
    await rewarded(work, reward(300_00, at=day(1)))
    assert await balance(work) == (300, 0)
    assert await evaluate(work, 10) == Evaluation(1, 1, 0)
    late, at_once, after = (reward(100_00, at=day(number)) for number in (9, 10, 11))
    await rewarded(work, after, late, at_once)
    assert await balance(work) == (300 + 100 + 120 + 120, 0)
    await awarded(work, award(1000, at=day(12)))
    await evaluate(work, 20)
    await rewarded(work, reward(100_00, at=day(21)))
    assert await balance(work) == (640 + 1000 + 150, 0)
    await prove(work)


async def test_recharge_and_order_give_points_with_the_rule_in_words(work: Work) -> None:
    await enrolled(work, "c-1")
    await rewarded(work, reward(50_99, at=day(1)), reward(20_00, at=day(2), kind=PointsKind.EARN_ORDER))
    async with work.reading() as connection:
        entries = await balances.list_entries(connection, C1, GENERAL, Page(50, None))
    assert [(entry.kind, entry.amount, entry.balance_after) for entry in entries] == [
        ("earn_order", 20, 70),
        ("earn_recharge", 50, 50),
    ]
    assert entries[0].metadata["reason"] == "general/standard: 100 points for 100"
    assert await told(work, "PointsEarned") == 2


async def test_a_payment_gives_points_in_every_program_at_its_own_rate(work: Work) -> None:
    await enrolled(work, "c-1")
    await put_program(work, program(tiers=(SILVER.__class__(STANDARD.tier_id, "Standard", 0, 0, 50),)))
    await enrol(work, EnrolCustomer(C1, ProgramId("fans"), JANUARY))
    await rewarded(work, reward(100_00, at=day(1)))
    found = await rows(
        work,
        "SELECT program_id, balance FROM members JOIN ledger_accounts ON id = 'points:' || member_id ORDER BY 1",
    )
    assert found == [("fans", 50), ("general", 100)]
    await prove(work)


async def test_a_payment_before_the_enrolment_is_noted_and_gives_nothing(work: Work) -> None:
    await enrolled(work, "c-1", at=day(5))
    early, unknown = reward(100_00, at=day(4)), reward(100_00, at=day(6), customer_id="c-9")
    await rewarded(work, early, unknown, reward(100_00, at=day(5)))
    assert await balance(work) == (100, 0)
    noted = await rows(work, "SELECT source, customer_id, kind FROM unrewarded_payments ORDER BY customer_id")
    assert noted == [(early.source, "c-1", "earn_recharge"), (unknown.source, "c-9", "earn_recharge")]


async def test_an_order_of_nothing_gives_nothing(work: Work) -> None:
    await enrolled(work, "c-1")
    await rewarded(work, reward(0, at=day(1), kind=PointsKind.EARN_ORDER), reward(99, at=day(1)))
    assert await scalar(work, "SELECT count(*) FROM ledger_transactions") == 0
    assert await scalar(work, "SELECT count(*) FROM unrewarded_payments") == 0


async def test_a_payment_whose_claim_is_forgotten_still_gives_points_once(work: Work) -> None:
    await enrolled(work, "c-1")
    payment = reward(100_00, at=day(1))
    await rewarded(work, payment)
    await rewarded(work, payment, reward(100_00, at=day(2)))
    assert await balance(work) == (200, 0)
    assert await told(work, "PointsEarned") == 2


async def test_a_negative_payment_is_malformed(work: Work) -> None:
    with pytest.raises(InvalidArgument, match=r"amount\.minor_units"):
        RewardPayment("billing:1", C1, PointsKind.EARN_ORDER, Money(-1, "CNY"), day(1))


async def test_awards_are_refused_one_by_one(work: Work) -> None:
    await enrolled(work, "c-1")
    twice = award(5, at=day(1))
    outcomes = await awarded(work, twice, award(5, at=day(1), customer_id="c-9"), twice, award(7, at=day(1)))
    assert [type(outcome) for outcome in outcomes] == [Booked, MemberNotFound, SourceReused, Booked]
    assert await balance(work) == (12, 0)


def test_an_award_that_ends_before_it_begins_is_malformed() -> None:
    with pytest.raises(InvalidArgument, match="expires_at"):
        AwardPoints("t", C1, GENERAL, 5, "survey", day(2), expires_at=day(2))


async def test_a_hold_is_spent_in_part_and_the_rest_is_free(work: Work) -> None:
    await enrolled(work, "c-1")
    await awarded(work, award(100, at=day(1)))
    held = await hold(work, 80)
    assert (held.balance.balance, held.balance.held, held.balance.available) == (100, 80, 20)
    spent = await confirm(work, 30)
    assert (spent.balance.balance, spent.balance.held) == (70, 0)
    assert await told(work, "PointsRedeemed") == 1
    with pytest.raises(HoldEnded):
        await confirm(work, None)
    await prove(work)


async def test_a_hold_takes_no_more_than_is_free_and_gives_no_more_than_it_holds(work: Work) -> None:
    await enrolled(work, "c-1")
    await awarded(work, award(100, at=day(1)))
    with pytest.raises(InsufficientBalance):
        await hold(work, 101)
    await hold(work, 60)
    with pytest.raises(InsufficientBalance):
        await hold(work, 41, hold_id="h-2")
    with pytest.raises(CaptureExceedsHold):
        await confirm(work, 61)
    assert await balance(work) == (100, 60)


async def test_a_released_hold_is_free_again(work: Work) -> None:
    await enrolled(work, "c-1")
    await awarded(work, award(100, at=day(1)))
    await hold(work, 60)
    assert (await release(work)).balance.available == 100
    assert await told(work, "PointsRedeemed") == 0


async def test_a_hold_of_somebody_else_is_not_found(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    await awarded(work, award(100, at=day(1)))
    await hold(work, 60)
    with pytest.raises(HoldNotFound):
        await confirm(work, None, customer_id=CustomerId("c-2"))
    with pytest.raises(HoldNotFound):
        await release(work, customer_id=CustomerId("c-2"))
    assert await balance(work) == (100, 60)


async def test_a_hold_ends_by_itself(work: Work) -> None:
    await enrolled(work, "c-1")
    await awarded(work, award(100, at=day(1)))
    await hold(work, 60)
    with pytest.raises(HoldExpired):
        await confirm(work, None, on=5)
    assert await balance(work, on=5) == (100, 0)
    assert await expire(work, 5) == spending.Expired(accounts=1, points=0)
    assert await balance(work) == (100, 0)


async def test_points_expire_at_their_instant_and_once(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    await awarded(work, award(100, at=day(1), expires_at=day(10)), award(5, at=day(1), expires_at=day(20)))
    await awarded(work, award(40, at=day(1), expires_at=day(10), customer_id="c-2"))
    assert (await balance(work, on=9), await balance(work, on=10)) == ((105, 0), (5, 0))
    assert await expire(work, 9) == spending.Expired(0, 0)
    assert await expire(work, 10) == spending.Expired(2, 140)
    assert await expire(work, 10) == spending.Expired(0, 0)
    assert (await balance(work), await balance(work, on=9)) == ((5, 0), (105, 0))
    assert await told(work, "PointsExpired") == 2
    await prove(work)


async def test_points_that_expire_on_the_way_are_told_by_whoever_books_it(work: Work) -> None:
    await enrolled(work, "c-1")
    await awarded(work, award(100, at=day(1), expires_at=day(10)))
    await awarded(work, award(5, at=day(11)))
    assert await balance(work) == (5, 0)
    assert await told(work, "PointsExpired") == 1


async def test_what_expires_next_is_summed_by_instant_soonest_first(work: Work) -> None:
    await enrolled(work, "c-1")
    ends = [30, 10, 10, *range(40, 60)]
    await awarded(work, *(award(7, at=day(1), expires_at=day(end)) for end in ends))
    async with work.reading() as connection:
        _, soon = await balances.get_balance(connection, C1, GENERAL, as_of=None)
        _, later = await balances.get_balance(connection, C1, GENERAL, as_of=day(10))
    assert soon[:2] == [(day(10), 14), (day(30), 7)]
    assert len(soon) == 10
    assert later[0] == (day(30), 7)


async def test_judging_twice_moves_nobody_the_second_time(work: Work) -> None:
    await enrolled(work, "c-1", "c-2", "c-3")
    await awarded(work, award(300, at=day(1)), award(1000, at=day(1), customer_id="c-2"))
    assert await evaluate(work, 10) == Evaluation(3, 2, 0)
    changes = await told(work, "TierChanged")
    assert await evaluate(work, 10) == Evaluation(3, 0, 0)
    assert await told(work, "TierChanged") == changes == 3 + 2
    found = await rows(work, "SELECT customer_id, tier_id, revision, tier_since FROM members ORDER BY 1")
    assert found == [("c-1", "silver", 2, day(10)), ("c-2", "gold", 2, day(10)), ("c-3", "standard", 1, JANUARY)]
    await prove(work)


async def test_a_member_falls_when_the_points_leave_the_window(work: Work) -> None:
    await enrolled(work, "c-1")
    await awarded(work, award(1000, at=day(1)))
    await evaluate(work, 1)
    assert await evaluate(work, 365) == Evaluation(1, 0, 0)
    assert await evaluate(work, 366) == Evaluation(1, 0, 1)
    assert [row[0] for row in await rows(work, "SELECT tier_id FROM tier_history ORDER BY revision")] == [
        "standard",
        "gold",
        "standard",
    ]


async def test_spending_and_expiry_do_not_lower_the_tier(work: Work) -> None:
    await enrolled(work, "c-1")
    await awarded(work, award(300, at=day(1), expires_at=day(4)))
    await hold(work, 200, expires_at=day(4))
    await confirm(work, None)
    await expire(work, 5)
    assert await balance(work) == (0, 0)
    assert await evaluate(work, 10) == Evaluation(1, 1, 0)


async def test_judging_never_goes_back_in_time(work: Work) -> None:
    await enrolled(work, "c-1")
    await evaluate(work, 10)
    with pytest.raises(EvaluationTooOld):
        await evaluate(work, 9)
    with pytest.raises(ProgramNotFound):
        await evaluate(work, 10, ProgramId("none"))


async def test_who_enrols_after_the_instant_is_not_judged_at_it(work: Work) -> None:
    await enrolled(work, "c-1", at=day(20))
    assert await evaluate(work, 10) == Evaluation(0, 0, 0)


async def test_standing_counts_the_points_of_the_window_at_the_instant(work: Work) -> None:
    await enrolled(work, "c-1")
    await awarded(work, award(100, at=day(1)), award(50, at=day(8)))
    async with work.reading() as connection:
        seen = [
            (await memberships.get_standing(connection, C1, GENERAL, as_of=day(number))).qualifying_points
            for number in (0, 1, 7, 8, 365, 366, 373)
        ]
        with pytest.raises(MemberNotFound):
            await memberships.get_standing(connection, CustomerId("c-9"), GENERAL, as_of=day(1))
    assert seen == [0, 100, 100, 150, 150, 50, 0]


async def test_a_program_changes_places_of_tiers_but_keeps_those_in_use(work: Work) -> None:
    await enrolled(work, "c-1")
    renamed = program("general", tiers=(STANDARD, GOLD.__class__(GOLD.tier_id, "Gold", 1, 10, 150)))
    changed = await put_program(work, renamed)
    assert [tier.tier_id for tier in changed.tiers] == ["standard", "gold"]
    assert changed.revision == 2
    assert (await put_program(work, renamed)).revision == 2
    swapped = (GOLD.__class__(GOLD.tier_id, "Gold", 0, 0, 150), STANDARD.__class__(STANDARD.tier_id, "S", 1, 10, 100))
    assert (await put_program(work, program("general", tiers=swapped))).first_tier.tier_id == "gold"
    with pytest.raises(TierInUse):
        await put_program(work, program("general", tiers=swapped[:1]))


async def test_members_are_counted_by_tier(work: Work) -> None:
    await enrolled(work, "c-1", "c-2", "c-3")
    await awarded(work, award(300, at=day(1)))
    await evaluate(work, 10)
    async with work.reading() as connection:
        counts = await programs.count_members(connection, GENERAL)
    assert [(tier.tier_id, count) for tier, count in counts] == [("standard", 2), ("silver", 1), ("gold", 0)]


async def test_a_refused_use_case_leaves_nothing(work: Work) -> None:
    async def act(transaction: Transaction) -> None:
        await upsert_customers(transaction, [UpsertCustomer(customer())])
        raise CustomerNotFound(C1)

    with pytest.raises(CustomerNotFound):
        await work.run(act)
    assert await scalar(work, "SELECT (SELECT count(*) FROM customers) + (SELECT count(*) FROM outbox)") == 0
