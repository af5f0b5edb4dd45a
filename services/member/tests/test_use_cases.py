"""Customers, programs, memberships and tiers on the real database: what changes, what is refused, what is told."""

from typing import Any

import pytest
from chassis.work import Transaction, Work
from member.domain.customer import CustomerId, CustomerNotFound
from member.domain.membership import AlreadyEnrolled, Holder, MemberNotFound, Standing
from member.domain.program import GENERAL, EvaluationTooOld, ProgramId, ProgramNotFound, TierInUse
from member.use_cases import memberships, programs
from member.use_cases.customers import UpsertCustomer, upsert_customers
from member.use_cases.memberships import EnrolCustomer
from member.use_cases.tiers import Evaluation

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
    rows,
    scalar,
    told,
)
from services.member.tests.steps import C1, balance, confirm, enrol, evaluate, expire, hold, prove, put, put_program


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
    outcomes = await enrol(work, *(EnrolCustomer(Holder(CustomerId(who), where), day(1)) for who, where in asked))
    kinds = [AlreadyEnrolled, Standing, AlreadyEnrolled, CustomerNotFound, ProgramNotFound]
    assert [type(outcome) for outcome in outcomes] == kinds
    assert await told(work, "MemberEnrolled") == 2
    await prove(work)


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
            (await memberships.get_standing(connection, Holder(C1, GENERAL), as_of=day(number))).qualifying_points
            for number in (0, 1, 7, 8, 365, 366, 373)
        ]
        with pytest.raises(MemberNotFound):
            await memberships.get_standing(connection, Holder(CustomerId("c-9"), GENERAL), as_of=day(1))
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


async def test_a_pass_over_many_members_takes_rounds_and_goes_on_where_it_was_left(work: Work) -> None:
    await enrolled(work, *(f"c-{number}" for number in range(5)))
    await awarded(work, *(award(300, at=day(1), customer_id=f"c-{number}") for number in range(5)))
    assert [await evaluate(work, 10, most=2) for _ in range(4)] == [
        Evaluation(2, 2, 0),
        Evaluation(2, 2, 0),
        Evaluation(1, 1, 0),
        Evaluation(2, 0, 0),
    ]
    assert await evaluate(work, 366, most=2) == Evaluation(2, 0, 2)
    assert await scalar(work, "SELECT count(*) FROM members WHERE tier_id = 'silver'") == 3
