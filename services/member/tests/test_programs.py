"""Versions of programs on the real database: drafted, compared, previewed, put in force; and memberships that end."""

import asyncio
from datetime import datetime
from typing import Any

import pytest
from chassis.ids import new_id
from chassis.paging import Page
from chassis.work import Transaction, Work
from member.domain.membership import (
    Holder,
    MemberHasPoints,
    MemberMoved,
    MemberNotFound,
    PointsHeld,
    Standing,
    TierNotFound,
)
from member.domain.program import (
    GENERAL,
    ActivationTooOld,
    Moves,
    Program,
    ProgramId,
    ProgramNotFound,
    Tier,
    TierId,
    TierInUse,
    VersionNotFound,
)
from member.domain.requirement import Services
from member.store.programs import Activation, Version
from member.use_cases import memberships, outlook, programs
from member.use_cases.earning import award_points
from member.use_cases.memberships import EnrolCustomer, LeaveProgram, Left
from member.use_cases.programs import ActivateProgram, DraftProgram
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.member.tests.factories import (
    GOLD,
    JANUARY,
    RECORDED_AT,
    SILVER,
    STANDARD,
    award,
    awarded,
    day,
    enrolled,
    program,
    reward,
    rewarded,
    rows,
    scalar,
    told,
)
from services.member.tests.steps import C1, balance, enrol, evaluate, hold, prove, put_program

FIRST_PAGE = Page(50, None)
EASY = (STANDARD, Tier(TierId("silver"), "Silver", 1, 10, 130), Tier(TierId("gold"), "Gold", 2, 20, 150))


async def draft(work: Work, wanted: Program) -> Version:
    """A version kept."""
    return await work.run(lambda transaction: programs.draft_program(transaction, DraftProgram(wanted, "li")))


async def activate(work: Work, version: int, at: datetime, program_id: ProgramId = GENERAL) -> Activation:
    """A version put in force from an instant on."""
    command = ActivateProgram(program_id, version, at, "wang")
    return await work.run(lambda transaction: programs.activate_program(transaction, command))


async def leave(work: Work, at: datetime, *, give_up: bool = False) -> Left:
    """The first customer's membership ended."""
    command = LeaveProgram(new_id(), Holder(C1, GENERAL), at, give_up_points=give_up)
    return await work.run(lambda transaction: memberships.leave_program(transaction, command))


async def refuses_statement(work: Work, statement: str) -> None:
    """The database itself refuses it."""
    with pytest.raises(DBAPIError):
        await work.run(lambda transaction: transaction.connection.execute(text(statement)))


async def test_a_draft_changes_nothing_until_it_is_activated(work: Work) -> None:
    kept = await draft(work, program("general", tiers=EASY))
    assert (kept.program.revision, kept.drafted_by) == (2, "li")
    async with work.reading() as connection:
        assert (await programs.get_program(connection, GENERAL)).revision == 1
        assert await programs.diff_programs(connection, GENERAL, 1, 2) == [
            "display_name changed from General membership to Football fans",
            "tier silver: earn_rate_percent changed from 120 to 130",
            "tier silver: requirement changed from 300 points in 365 days to 10 points in 365 days",
            "tier gold: requirement changed from 1000 points in 365 days to 20 points in 365 days",
        ]
        with pytest.raises(VersionNotFound):
            await programs.get_program(connection, GENERAL, 3)
    assert await told(work, "ProgramActivated") == 0


async def test_a_version_begins_by_itself_at_its_instant(work: Work) -> None:
    await draft(work, program("general", tiers=EASY))
    await enrolled(work, "c-1")
    await awarded(work, award(15, at=day(1)))
    await activate(work, 2, day(10))
    assert await evaluate(work, 9) == await evaluate(work, 9)
    assert await scalar(work, "SELECT tier_id FROM members") == "standard"
    await evaluate(work, 10)
    history = await rows(work, "SELECT tier_id, version, reason FROM tier_history ORDER BY revision")
    assert history == [("standard", 1, "enrolment"), ("silver", 2, "evaluation")]
    await rewarded(work, reward(100_00, at=day(9)), reward(100_00, at=day(10)))
    assert (await balance(work))[0] == 15 + 100 + 130


async def test_an_activation_still_to_come_is_told_when_its_time_has_come(work: Work) -> None:
    await draft(work, program("general", tiers=EASY))
    later = RECORDED_AT.replace(year=2027)
    await activate(work, 2, later)
    assert await told(work, "ProgramActivated") == 0
    for expected in (1, 0):
        assert await work.run(lambda transaction: programs.begin_activations(transaction, later)) == expected
    assert await told(work, "ProgramActivated") == 1
    async with work.reading() as connection:
        assert (await programs.get_program(connection, GENERAL)).revision == 2
        noted = await programs.list_activations(connection, GENERAL, FIRST_PAGE)
        versions = await programs.list_versions(connection, GENERAL, FIRST_PAGE)
    assert [(each.version, each.active_from, each.activated_by) for each in noted][:1] == [(2, later, "wang")]
    assert [each.program.revision for each in versions] == [2, 1]


async def test_what_is_still_to_come_is_taken_back_by_another_activation(work: Work) -> None:
    await draft(work, program("general", tiers=EASY))
    later = RECORDED_AT.replace(year=2027)
    await activate(work, 2, later)
    await activate(work, 1, later)
    assert await work.run(lambda transaction: programs.begin_activations(transaction, later)) == 1
    async with work.reading() as connection:
        assert (await programs.get_program(connection, GENERAL)).revision == 1


async def test_what_was_judged_is_not_judged_anew_by_another_version(work: Work) -> None:
    await draft(work, program("general", tiers=EASY))
    await enrolled(work, "c-1")
    await evaluate(work, 20)
    for number in (19, 20):
        with pytest.raises(ActivationTooOld):
            await activate(work, 2, day(number))
    assert (await activate(work, 2, day(21))).sequence == 2
    with pytest.raises(VersionNotFound):
        await activate(work, 9, day(22))


async def test_a_tier_in_use_stays_and_ahead_of_time_every_tier_does(work: Work) -> None:
    await enrolled(work, "c-1")
    await draft(work, program("general", tiers=(STANDARD, Tier(GOLD.tier_id, "Gold", 1, 10, 150))))
    with pytest.raises(TierInUse) as error:
        await activate(work, 2, RECORDED_AT.replace(year=2027))
    assert error.value.metadata["tier_id"] == "silver"
    await activate(work, 2, day(100))
    await draft(work, program("general", tiers=(GOLD.__class__(GOLD.tier_id, "Gold", 0, 0, 150),)))
    with pytest.raises(TierInUse):
        await activate(work, 3, day(200))
    async with work.reading() as connection:
        found = await programs.validate_program(connection, program("general", tiers=(SILVER,)))
    assert [violation.field for violation in found] == [
        "program.tiers[0].rank",
        "program.tiers[0].points_required",
        "program.tiers",
    ]


async def test_what_was_put_at_once_is_a_version_like_any_other(work: Work) -> None:
    assert (await put_program(work, program("fans"))).revision == 1
    assert (await put_program(work, program("fans", display_name="Fans"))).revision == 2
    assert (await put_program(work, program("fans", display_name="Fans"))).revision == 2
    assert await scalar(work, "SELECT count(*) FROM program_activations WHERE program_id = 'fans'") == 2
    for statement in ("UPDATE program_versions SET version = 9", "DELETE FROM program_activations"):
        await refuses_statement(work, statement)


async def test_versions_drafted_side_by_side_have_numbers_of_their_own(work: Work) -> None:
    kept = await asyncio.gather(*(draft(work, program("general", window_days=day_)) for day_ in range(1, 11)))
    assert sorted(each.program.revision for each in kept) == list(range(2, 12))


async def test_a_preview_says_who_would_move_and_moves_nobody(work: Work) -> None:
    ids = [f"c-{number}" for number in range(5)]
    await enrolled(work, *ids)
    await awarded(work, *(award(15 * number, at=day(1), customer_id=f"c-{number}") for number in range(1, 5)))
    await awarded(work, award(400, at=day(1), customer_id="c-4"))
    await evaluate(work, 2)
    silver = Tier(TierId("silver"), "Silver", 1, 40, 120)
    gold = Tier(TierId("gold"), "Gold", 2, 0, 150, Services(9))
    version = (await draft(work, program("general", tiers=(STANDARD, silver, gold)))).program.revision
    pages = []
    after = ""
    async with work.reading() as connection:
        while True:
            command = outlook.PreviewProgram(GENERAL, version, day(3), after, most=2)
            pages.append(await outlook.preview_program(connection, command))
            after = pages[-1].last
            if pages[-1].judged < 2:
                break
    assert [page.judged for page in pages] == [2, 2, 1]
    assert (sum(page.would_rise for page in pages), sum(page.would_fall for page in pages)) == (1, 0)
    cells: dict[tuple[Any, Any], int] = {}
    for page in pages:
        for cell in page.cells:
            key = (cell.tier_id, page.program.tiers[cell.reached].tier_id)
            cells[key] = cells.get(key, 0) + cell.members
            assert len(cell.samples) == cell.members
    assert cells == {("standard", "standard"): 3, ("standard", "silver"): 1, ("silver", "silver"): 1}
    assert {page.members for page in pages} == {5}
    assert await told(work, "TierChanged") == 6


async def test_whoever_leaves_gives_up_the_points_and_may_come_back_with_nothing(work: Work) -> None:
    await enrolled(work, "c-1")
    await awarded(work, award(50, at=day(1)))
    with pytest.raises(MemberHasPoints):
        await leave(work, day(2))
    left = await leave(work, day(2), give_up=True)
    assert left.points_given_up == 50
    assert await scalar(work, "SELECT balance FROM ledger_accounts") == 0
    with pytest.raises(MemberNotFound):
        await leave(work, day(3), give_up=True)
    await rewarded(work, reward(100_00, at=day(1)), reward(100_00, at=day(2)))
    assert await scalar(work, "SELECT count(*) FROM unrewarded_payments") == 1
    (again,) = await enrol(work, EnrolCustomer(Holder(C1, GENERAL), day(5)))
    assert isinstance(again, Standing)
    assert again.member.member_id != left.member.member_id
    assert await balance(work) == (0, 0)
    assert await told(work, "MemberLeft") == 1
    assert await evaluate(work, 10) == await evaluate(work, 10)
    await prove(work)


async def test_nobody_leaves_with_points_held_or_before_the_last_move(work: Work) -> None:
    await enrolled(work, "c-1", at=day(1))
    await awarded(work, award(300, at=day(1)))
    await hold(work, 10)
    with pytest.raises(PointsHeld):
        await leave(work, day(2), give_up=True)
    await evaluate(work, 20)
    with pytest.raises(MemberMoved):
        await leave(work, day(10), give_up=True)
    assert await scalar(work, "SELECT balance FROM ledger_accounts") == 300


async def test_members_are_listed_by_tier_and_memberships_by_customer(work: Work) -> None:
    ids = [f"c-{number}" for number in range(5)]
    await put_program(work, program("fans"))
    await enrolled(work, *ids)
    await enrol(work, EnrolCustomer(Holder(C1, ProgramId("fans")), JANUARY))
    await awarded(work, award(300, at=day(1)), award(300, at=day(1), customer_id="c-3"))
    await evaluate(work, 2)
    async with work.reading() as connection:
        silver = await memberships.list_members(connection, GENERAL, TierId("silver"), FIRST_PAGE)
        everybody = await memberships.list_members(connection, GENERAL, None, Page(2, None))
        rest = await memberships.list_members(connection, GENERAL, None, Page(9, everybody[1].member_id))
        own = await memberships.list_memberships(connection, C1, as_of=day(3))
        with pytest.raises(TierNotFound):
            await memberships.list_members(connection, GENERAL, TierId("none"), FIRST_PAGE)
        with pytest.raises(ProgramNotFound):
            await memberships.list_members(connection, ProgramId("none"), None, FIRST_PAGE)
    assert {member.customer_id for member in silver} == {"c-1", "c-3"}
    assert (len(everybody), len(rest)) == (3, 3)
    assert [(each.member.program_id, each.tier.tier_id) for each in own] == [
        ("fans", "standard"),
        ("general", "silver"),
    ]


async def test_programs_side_by_side_move_members_each_in_its_way(work: Work) -> None:
    await put_program(work, program("fans", moves=Moves(upgrades_at_once=True)))
    await enrolled(work, "c-1")
    await enrol(work, EnrolCustomer(Holder(C1, ProgramId("fans")), JANUARY))
    await rewarded(work, reward(300_00, at=day(1)))
    assert dict(await rows(work, "SELECT program_id, tier_id FROM members")) == {
        "general": "standard",
        "fans": "silver",
    }


async def test_nobody_leaves_before_the_points_that_it_has(work: Work) -> None:
    await enrolled(work, "c-1")
    await awarded(work, award(100, at=day(5)))
    with pytest.raises(MemberMoved):
        await leave(work, day(4))
    with pytest.raises(MemberMoved):
        await leave(work, day(4), give_up=True)
    assert await rows(work, "SELECT left_at FROM members") == [(None,)]
    assert (await leave(work, day(5), give_up=True)).points_given_up == 100
    await prove(work)


async def test_who_leaves_waits_for_points_that_are_on_their_way(work: Work) -> None:
    await enrolled(work, "c-1")
    given, go_on = asyncio.Event(), asyncio.Event()

    async def give_slowly(transaction: Transaction) -> None:
        await award_points(transaction, [award(100, at=day(1))])
        given.set()
        await go_on.wait()

    async def leave_meanwhile() -> None:
        await given.wait()
        leaving = asyncio.create_task(leave(work, day(2)))
        await asyncio.wait([leaving], timeout=1)
        go_on.set()
        with pytest.raises(MemberHasPoints):
            await leaving

    await asyncio.gather(work.run(give_slowly), leave_meanwhile())
    assert await rows(work, "SELECT left_at FROM members") == [(None,)]
