"""The rules, without anything around them."""

from typing import Any

import pytest
from chassis.errors import InvalidArgument
from hypothesis import given
from hypothesis import strategies as st
from member.domain.customer import ContactAddress, CustomerId, check_customer, contact_address
from member.domain.membership import Holder, Member, MemberId, standing
from member.domain.points import MAX_POINTS, check_points, points_for_money
from member.domain.program import GENERAL, Program, Tier, TierId, check_program
from member.domain.requirement import Measured

from services.member.tests.factories import GOLD, JANUARY, SILVER, STANDARD, customer, day, person, program

requirements = st.lists(st.integers(1, 10**6), max_size=8, unique=True).map(lambda found: [0, *sorted(found)])


def _program(required: list[int]) -> Program:
    tiers = [Tier(TierId(f"t-{rank}"), f"Tier {rank}", rank, points, 100) for rank, points in enumerate(required)]
    return program(tiers=tuple(tiers))


def _measured(found: Program, points: int) -> Measured:
    """So many points of every kind in the program's window."""
    return {found.points_measure: points}


def _reached(found: Program, points: int) -> Tier:
    return found.tier_reached(_measured(found, points), JANUARY)


def _fields(error: pytest.ExceptionInfo[InvalidArgument]) -> list[str]:
    return [violation.field for violation in error.value.violations]


@pytest.mark.parametrize(("tier", "points"), [(STANDARD, 100), (SILVER, 120), (GOLD, 150)])
def test_a_hundred_yuan_give_what_the_tier_says(tier: Tier, points: int) -> None:
    assert points_for_money(100_00, tier.earn_rate_percent) == points


@pytest.mark.parametrize(("amount_minor", "rate", "points"), [(99, 100, 0), (100, 100, 1), (84, 120, 1), (83, 120, 0)])
def test_points_are_rounded_down(amount_minor: int, rate: int, points: int) -> None:
    assert points_for_money(amount_minor, rate) == points


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10_000))
def test_splitting_a_payment_never_gives_more(one: int, other: int, rate: int) -> None:
    together = points_for_money(one + other, rate)
    assert together - 1 <= points_for_money(one, rate) + points_for_money(other, rate) <= together


@given(st.integers(0, 10**12), st.integers(0, 10_000))
def test_points_are_the_exact_share_without_its_fraction(amount_minor: int, rate: int) -> None:
    points = points_for_money(amount_minor, rate)
    assert points * 10_000 <= amount_minor * rate < (points + 1) * 10_000


@pytest.mark.parametrize("points", [0, -1, MAX_POINTS + 1])
def test_points_out_of_range_are_refused(points: int) -> None:
    with pytest.raises(InvalidArgument) as error:
        check_points("points", points)
    assert _fields(error) == ["points"]


@given(requirements, st.integers(-5, 2 * 10**6))
def test_the_tier_reached_is_the_best_whose_requirement_is_met(required: list[int], points: int) -> None:
    found = _program(required)
    reached = _reached(found, points)
    assert reached.rank == max([rank for rank, least in enumerate(required) if least <= points], default=0)


@given(requirements, st.integers(0, 2 * 10**6))
def test_the_points_missing_reach_the_next_tier_and_no_fewer_do(required: list[int], points: int) -> None:
    found = _program(required)
    tier = _reached(found, points)
    member = Member(MemberId("m"), Holder(CustomerId("c-1"), found.program_id), tier.tier_id, JANUARY, JANUARY, 1)
    seen = standing(member, found, _measured(found, points), JANUARY)
    if seen.next_tier is None:
        assert seen.points_to_next_tier == 0
    else:
        assert _reached(found, points + seen.points_to_next_tier) == seen.next_tier
        assert _reached(found, points + seen.points_to_next_tier - 1) == tier


def test_nothing_is_missing_when_the_points_are_there_and_the_judging_is_still_to_come() -> None:
    member = Member(MemberId("m"), Holder(CustomerId("c-1"), GENERAL), STANDARD.tier_id, JANUARY, JANUARY, 1)
    assert standing(member, program(), _measured(program(), 5000), JANUARY).points_to_next_tier == 0


def test_points_expire_after_the_lifetime_or_never() -> None:
    assert program(points_lifetime_days=30).points_expire_at(day(1)) == day(31)
    assert program(points_lifetime_days=0).points_expire_at(day(1)) is None
    assert program().points_expire_at(JANUARY.replace(year=9999)) is None


def test_the_window_ends_at_the_instant_and_is_as_long_as_said() -> None:
    assert program(window_days=30).points_measure.window.start(day(31), program().calendar) == day(1)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"display_name": " "}, "program.display_name"),
        ({"display_name": "a\x00b"}, "program.display_name"),
        ({"window_days": 0}, "program.window_days"),
        ({"points_lifetime_days": -1}, "program.points_lifetime_days"),
        ({"tiers": ()}, "program.tiers"),
        ({"tiers": (SILVER,)}, "program.tiers[0].rank"),
        ({"tiers": (STANDARD, GOLD)}, "program.tiers[1].rank"),
        ({"tiers": (STANDARD, Tier(TierId("a"), "A", 1, 0, 100))}, "program.tiers[1].points_required"),
        ({"tiers": (Tier(TierId("a"), "A", 0, 5, 100),)}, "program.tiers[0].points_required"),
        ({"tiers": (Tier(TierId("a"), "A", 0, 0, -1),)}, "program.tiers[0].earn_rate_percent"),
        ({"tiers": (STANDARD, Tier(TierId("standard"), "B", 1, 5, 100))}, "program.tiers[1].tier_id"),
    ],
)
def test_a_program_that_could_not_judge_is_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        check_program(program(**changes))
    assert field in _fields(error)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"display_name": ""}, "customer.display_name"),
        ({"display_name": "x" * 201}, "customer.display_name"),
        ({"display_name": "a\nb"}, "customer.display_name"),
        ({"persons": (person(phone="13800138000"),)}, "customer.persons[0].phone"),
        ({"persons": (person(phone="+0123456789"),)}, "customer.persons[0].phone"),
        ({"persons": (person(phone="+8613800138000\n"),)}, "customer.persons[0].phone"),
        ({"persons": (person(email="fang@localhost"),)}, "customer.persons[0].email"),
        ({"persons": (person(email="fang"),)}, "customer.persons[0].email"),
        ({"persons": (person(email="f\x00@example.com"),)}, "customer.persons[0].email"),
        ({"persons": (person(role="r" * 41),)}, "customer.persons[0].role"),
        ({"persons": (person(display_name="\u0085"),)}, "customer.persons[0].display_name"),
        ({"persons": (person(), person())}, "customer.persons[1].person_id"),
        ({"persons": tuple(person(f"p-{n}") for n in range(101))}, "customer.persons"),
        ({"subscribers": customer().subscribers * 2}, "customer.subscribers[1].subscriber_id"),
    ],
)
def test_a_customer_who_could_not_be_shown_or_written_to_is_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        check_customer(customer(**changes))
    assert _fields(error)[0] == field


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(InvalidArgument) as error:
        check_customer(customer(display_name="", persons=(person(phone="1", email="2"),)))
    assert _fields(error) == ["customer.display_name", "customer.persons[0].phone", "customer.persons[0].email"]


def test_names_of_every_script_are_welcome() -> None:
    check_customer(customer(display_name="王芳一家", persons=(person(display_name="Zoë O’Neil-Łukasz 👩‍👧", role=""),)))


def test_the_contact_is_the_first_person_with_an_address() -> None:
    child = person("p-1", display_name="Wang Jun", phone="", email="")
    head = person("p-2", email="")
    assert contact_address(customer(persons=(child, head))) == ContactAddress("Wang Fang", "+8613800138000", "")
    assert contact_address(customer(persons=(child,))) == ContactAddress("Household Wang", "", "")
