"""Earmarked balances become universal: old and new equal to the last unit, applied once, and taken back."""

from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from billing.domain.balance_migration import (
    BalanceId,
    Decision,
    EarmarkedRule,
    MigrationNotToUndo,
    MigrationPlanCurrencyFixed,
    MigrationPlanFrozen,
    MigrationPlanId,
    MigrationPlanNotFound,
    MigrationRunExists,
    MigrationRunId,
    MigrationRunNotFound,
    MigrationUnderWay,
    RunState,
    Target,
    Why,
    decide,
)
from billing.domain.credit_limit import SetCreditLimit
from billing.domain.ids import AccountId
from billing.domain.movement import GiftTerms
from billing.jobs import timed
from billing.use_cases.balance_migration import advance_run
from billing.use_cases.credit_limit import set_credit_limits
from chassis.calendar import Calendar
from chassis.database import async_url
from chassis.errors import InvalidArgument
from chassis.money import AMOUNT_MAX
from chassis.testing import Database
from chassis.timed import do_round
from chassis.work import Transaction, Work
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from services.billing.tests.factories import (
    ACCOUNT,
    CALENDAR,
    OCCURRED_AT,
    PLAN,
    Billing,
    a_plan,
    charge,
    cny,
    opening,
    recharge,
)
from services.billing.tests.migrating import CASH, DROPPED, GIFT, RUN, Migrating, a_balance, a_migration

SHANGHAI = Calendar(ZoneInfo("Asia/Shanghai"))
OTHER = MigrationRunId("run-2")
LATER = OCCURRED_AT + timedelta(days=1)

rules = st.builds(
    EarmarkedRule,
    earmark=st.just("e"),
    target=st.sampled_from(Target),
    rate_numerator=st.integers(1, 1_000_000),
    rate_denominator=st.integers(1, 1_000_000),
    gift_days=st.integers(0, 400),
)


@given(rules, st.integers(0, AMOUNT_MAX), st.booleans())
@settings(max_examples=300)
def test_old_and_new_are_equal_at_any_rate(rule: EarmarkedRule, amount: int, expired: bool) -> None:
    until = OCCURRED_AT if expired else None
    found = decide(a_balance("b", amount, "e", until=until), a_migration(rule), OCCURRED_AT, CALENDAR, applied=False)
    if rule.target is Target.DROPPED:
        assert found == Decision(Target.DROPPED)
    elif expired:
        assert found.refused is Why.EARMARK_EXPIRED
    elif amount * rule.rate_numerator // rule.rate_denominator > AMOUNT_MAX:
        assert found.refused is Why.AMOUNT_TOO_LARGE
    else:
        assert 0 <= found.parts < rule.rate_denominator
        assert amount * rule.rate_numerator == found.new_minor * rule.rate_denominator + found.parts


@pytest.mark.parametrize(
    ("rule", "until", "expected"),
    [
        (GIFT, LATER, LATER),
        (GIFT, None, datetime(2026, 3, 31, 16, tzinfo=OCCURRED_AT.tzinfo)),  # 30 whole days after 1 March, in Shanghai
        (replace(GIFT, gift_days=0), None, None),
    ],
)
def test_how_long_gift_credit_lives(rule: EarmarkedRule, until: datetime | None, expected: datetime | None) -> None:
    balance = a_balance("b", 300, rule.earmark, until=until)
    found = decide(balance, a_migration(rule), OCCURRED_AT, SHANGHAI, applied=False)
    assert found == Decision(Target.GIFT, 100, 0, GiftTerms(expected, 7))


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ((), "plan.rules"),
        ((CASH, CASH), "plan.rules[1].earmark"),
        ((replace(CASH, rate_numerator=0),), "plan.rules[0].rate_numerator"),
        ((replace(CASH, rate_denominator=1_000_001),), "plan.rules[0].rate_denominator"),
        ((replace(GIFT, gift_days=-1),), "plan.rules[0].gift_days"),
        ((replace(GIFT, priority=1_001),), "plan.rules[0].priority"),
    ],
)
def test_plans_that_could_not_be_applied(rules: tuple[EarmarkedRule, ...], field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        replace(a_migration(), rules=rules)
    assert [each.field for each in refused.value.violations] == [field]


@pytest.fixture
async def billing(work: Work) -> Billing:
    """Three accounts: with a plan, without one, and in dollars."""
    billing = Billing(work)
    await billing.put_plan(a_plan())
    await billing.open(opening(plan_id=PLAN), opening("acc-2"), opening("acc-usd", currency="USD"))
    return billing


@pytest.fixture
async def migrating(work: Work, billing: Billing) -> Migrating:
    """A plan with balances of every kind."""
    migrating = Migrating(work)
    await migrating.put(a_migration())
    await migrating.load(
        a_balance("b-1", 100_01),
        a_balance("b-2", 50_01, "promotion"),
        a_balance("b-3", 7_00, "trial"),
        a_balance("b-4", 0),
        a_balance("b-5", 9_00, until=OCCURRED_AT),
        a_balance("b-6", 20_00, account="acc-2"),
        a_balance("b-7", 1, "promotion", account="acc-2"),
    )
    return migrating


async def balance(work: Work, account: str = ACCOUNT) -> int:
    """What the ledger has."""
    return int(await scalar(work, f"SELECT balance FROM ledger_accounts WHERE id = 'balance:{account}'"))


async def scalar(work: Work, sql: str) -> int:
    """One number of the tables."""
    async with work.reading() as connection:
        return int((await connection.execute(text(sql))).scalar_one())


async def test_a_run_books_every_balance_once_and_proves_it(work: Work, billing: Billing, migrating: Migrating) -> None:
    await migrating.start()
    run, sums = await migrating.through(most=2)
    assert (run.state, run.total, run.done, run.proven) == (RunState.APPLIED, 7, 7, True)
    by_earmark = {each.earmark: each for each in sums}
    cash, gift, dropped = (by_earmark[rule.earmark] for rule in (CASH, GIFT, DROPPED))
    assert (cash.balances, cash.old_minor, cash.cash_minor, cash.refused_minor) == (4, 129_01, 120_01, 9_00)
    assert (gift.old_minor, gift.gift_minor, gift.parts) == (50_02, 16_67, 1)
    assert (dropped.old_minor, dropped.dropped_minor, dropped.cash_minor) == (7_00, 7_00, 0)
    assert await balance(work) == 100_01 + 16_67
    assert await balance(work, "acc-2") == 20_00
    (line,) = await migrating.report(refused=True)
    assert (line.item.balance.balance_id, line.item.decision.refused) == ("b-5", "EARMARK_EXPIRED")
    booked = {str(line.item.balance.balance_id): line.item.transaction_id for line in await migrating.report()}
    assert booked["b-1"] == "migration:run-1/b-1"
    assert [booked[each] for each in ("b-3", "b-4", "b-7")] == [None, None, None]
    assert await scalar(work, "SELECT count(*) FROM ledger_lots WHERE remaining = 1667 AND priority = 7") == 1
    named = "SELECT count(*) FROM gifts WHERE gift_id = 'migration:run-1/b-2' AND reason = 'promotion'"
    assert await scalar(work, named) == 1
    told = "SELECT count(*) FROM outbox WHERE event_type = 'touchstone.billing.v1.BalanceMigrated'"
    assert await scalar(work, told) == 3
    assert await scalar(work, "SELECT count(*) FROM outbox WHERE event_type LIKE '%AccountRecharged'") == 0
    assert await billing.proof() == []


async def test_a_dry_run_says_what_a_run_will_do_and_books_nothing(
    work: Work, billing: Billing, migrating: Migrating
) -> None:
    await migrating.start(MigrationRunId("dry"), dry=True)
    dry, counted = await migrating.through(MigrationRunId("dry"), most=3)
    assert (dry.state, dry.proven, await balance(work)) == (RunState.COUNTED, True, 0)
    assert await scalar(work, "SELECT count(*) FROM ledger_transactions") == 0
    with pytest.raises(MigrationNotToUndo):
        await migrating.undo(MigrationRunId("dry"))
    changed = await migrating.put(replace(a_migration(), display_name="Another"))
    assert (changed.revision, changed.frozen) == (2, False)
    await migrating.start()
    assert (await migrating.through()).sums == counted
    assert await billing.proof() == []


async def test_a_run_is_taken_back_as_far_as_it_is_there(work: Work, billing: Billing, migrating: Migrating) -> None:
    await migrating.start()
    await migrating.through()
    await billing.move(charge(30_00), charge(5_00, "acc-2"))
    await migrating.undo(at=LATER)
    run, sums = await migrating.through(most=2)
    # The charge took the gift credit first, and the rest of cash; the gift gives back none of what is cash.
    assert (run.state, run.proven, run.done, run.undone_because) == (RunState.UNDONE, True, 6, "wrong file")
    kept = {line.item.balance.balance_id: line.undo.kept_minor for line in await migrating.report() if line.undo}
    assert kept == {"b-1": 13_33, "b-2": 16_67, "b-3": 0, "b-4": 0, "b-6": 5_00, "b-7": 0}
    assert [await balance(work), await balance(work, "acc-2")] == [0, 0]
    assert {each.earmark: (each.taken_back_minor, each.kept_minor) for each in sums} == {
        "broadband": (86_68 + 15_00, 13_33 + 5_00),
        "promotion": (0, 16_67),
        "trial": (0, 0),
    }
    with pytest.raises(MigrationNotToUndo):
        await migrating.undo(at=LATER)
    assert await billing.proof() == []


async def test_what_others_put_in_is_left_alone_but_for_the_cash(
    work: Work, billing: Billing, migrating: Migrating
) -> None:
    await migrating.start()
    await migrating.through()
    await billing.move(recharge(500_00), charge(16_67))  # all of the gift
    await migrating.undo()
    await migrating.through()
    assert await balance(work) == 500_00
    assert await billing.proof() == []


async def test_nothing_is_taken_back_on_credit(work: Work, billing: Billing, migrating: Migrating) -> None:
    """The customer did not ask for the way back, and would have to pay for it."""
    await migrating.start()
    await migrating.through()
    wanted = SetCreditLimit(account_id=AccountId("acc-2"), credit_limit=cny(50_00), reason="asked", occurred_at=LATER)
    await work.run(lambda transaction: set_credit_limits(transaction, [wanted], calendar=CALENDAR))
    await billing.move(charge(15_00, "acc-2"))
    await migrating.undo(at=LATER)
    await migrating.through(most=3)
    kept = {line.item.balance.balance_id: line.undo.kept_minor for line in await migrating.report() if line.undo}
    assert (kept[BalanceId("b-6")], kept[BalanceId("b-7")]) == (15_00, 0)
    assert await balance(work, "acc-2") == 0
    assert await billing.proof() == []


async def test_a_balance_is_taken_over_by_one_run_until_it_is_given_up(
    work: Work, billing: Billing, migrating: Migrating
) -> None:
    await migrating.start()
    await migrating.through()
    again = await migrating.load(a_balance("b-1", 1), a_balance("b-5", 9_00), a_balance("b-8", 3))
    assert (again.loaded, again.refused) == (2, {BalanceId("b-1"): Why.ALREADY_MIGRATED})
    await migrating.start(OTHER)
    second, _ = await migrating.through(OTHER)
    refused = {line.item.balance.balance_id for line in await migrating.report(OTHER, refused=True)}
    assert (refused, second.proven) == ({"b-1", "b-2", "b-3", "b-4", "b-6", "b-7"}, True)
    await billing.move(charge(20_00, "acc-2"))
    for run in (RUN, OTHER):
        await migrating.undo(run)
        await migrating.through(run)
    third = MigrationRunId("run-3")
    await migrating.start(third)
    assert (await migrating.through(third)).run.proven
    (refusal,) = await migrating.report(third, refused=True)
    assert refusal.item.balance.balance_id == "b-6"  # it was spent: given again it would be twice
    assert await billing.proof() == []


async def test_what_is_not_loaded(work: Work, migrating: Migrating) -> None:
    done = await migrating.load(
        a_balance("x-1", 1, account="nobody"),
        a_balance("x-2", 1, account="acc-usd"),
        a_balance("x-3", 1, "unknown"),
        a_balance("x-4", 1),
    )
    assert (done.loaded, list(done.refused.values())) == (
        1,
        [Why.ACCOUNT_NOT_FOUND, Why.CURRENCY_DIFFERS, Why.EARMARK_WITHOUT_RULE],
    )
    wrong = await migrating.load(a_balance("x-5", 1), currency="USD")
    assert wrong.refused == {BalanceId("x-5"): Why.CURRENCY_DIFFERS}
    await migrating.load(a_balance("x-4", 2))
    assert await scalar(work, "SELECT amount_minor FROM earmarked_balances WHERE balance_id = 'x-4'") == 2


async def test_one_run_at_a_time_and_a_frozen_plan(migrating: Migrating) -> None:
    await migrating.start()
    with pytest.raises(MigrationUnderWay):
        await migrating.start(OTHER, dry=True)
    with pytest.raises(MigrationRunExists):
        await migrating.start(RUN)
    with pytest.raises(MigrationUnderWay):
        await migrating.load(a_balance("late", 1))
    with pytest.raises(MigrationPlanFrozen):
        await migrating.put(replace(a_migration(), display_name="Another"))
    assert (await migrating.put(a_migration())).frozen  # what is known already is no change
    await migrating.through()
    await migrating.put(a_migration(plan_id=MigrationPlanId("next")))
    with pytest.raises(MigrationPlanCurrencyFixed):
        await migrating.put(a_migration(plan_id=MigrationPlanId("next"), currency="USD"))
    await migrating.start(OTHER, plan_id=MigrationPlanId("next"))
    with pytest.raises(MigrationUnderWay):
        await migrating.undo()
    with pytest.raises(InvalidArgument):
        await migrating.undo(OTHER, at=OCCURRED_AT - timedelta(days=1))


async def test_a_run_that_is_stopped_halfway_is_taken_back(work: Work, billing: Billing, migrating: Migrating) -> None:
    await migrating.start()
    assert await migrating.advance(most=2) == 2
    await migrating.undo()
    run, sums = await migrating.through()
    assert (run.state, run.proven, run.done, sum(each.balances for each in sums)) == (RunState.UNDONE, True, 2, 2)
    assert await balance(work) == 0
    assert await migrating.advance() == 0
    assert await billing.proof() == []


class Killed(Exception):
    """What a process ends with that is killed in the middle of a round."""


async def test_a_round_that_is_killed_is_done_again_and_nothing_twice(
    work: Work, billing: Billing, migrating: Migrating
) -> None:
    async def killed(transaction: Transaction) -> None:
        assert await advance_run(transaction, None, CALENDAR, most=2) == 2
        raise Killed

    await migrating.start()
    for _ in range(2):
        with pytest.raises(Killed):
            await work.run(killed)
        assert await migrating.advance(most=2) == 2
    assert await migrating.advance() == 3
    assert (await migrating.progress()).run.proven
    await migrating.undo()
    with pytest.raises(Killed):
        await work.run(killed)
    assert (await migrating.through(most=2)).run.proven
    assert await balance(work) == 0
    assert await billing.proof() == []


async def test_a_run_goes_on_by_itself(work: Work, migrating: Migrating) -> None:
    (timed_work,) = (each for each in timed(CALENDAR) if each.name == "migrate balances")
    assert not await do_round(work, timed_work), "nothing is under way"
    await migrating.start()
    while await do_round(work, timed_work):
        pass
    assert (await migrating.progress()).run.proven


async def test_nothing_is_known_of_it(migrating: Migrating) -> None:
    missing = MigrationRunId("missing")
    for call in (migrating.progress(missing), migrating.advance(missing), migrating.undo(missing)):
        with pytest.raises(MigrationRunNotFound):
            await call
    for other in (migrating.load(a_balance("b", 1), plan_id=MigrationPlanId("none")),):
        with pytest.raises(MigrationPlanNotFound):
            await other
    assert await migrating.advance() == 0


async def test_what_comes_in_restores_and_an_undo_may_cross(work: Work, billing: Billing, migrating: Migrating) -> None:
    await billing.move(recharge(60_00), charge(20_00))
    assert await scalar(work, "SELECT count(*) FROM bills") == 1
    await migrating.start()
    await migrating.through()
    assert await scalar(work, "SELECT count(*) FROM accounts WHERE crossed_version IS NOT NULL") == 0
    await migrating.undo()
    await migrating.through()
    assert await scalar(work, "SELECT count(*) FROM bills") == 2
    assert await billing.proof() == []


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("UPDATE balance_migration_items SET new_minor = new_minor + 1 WHERE balance_id = 'b-1'", "one to one"),
        ("UPDATE balance_migration_items SET rounding_parts = 2 WHERE balance_id = 'b-1'", "at its rule's rate"),
        ("UPDATE balance_migration_undos SET taken_minor = 0 WHERE balance_id = 'b-1'", "taken back"),
    ],
)
async def test_the_proof_finds_what_was_changed(
    fresh: Database, billing: Billing, migrating: Migrating, statement: str, rule: str
) -> None:
    await migrating.start()
    await migrating.through()
    await migrating.undo()
    await migrating.through()
    await tamper(fresh, statement)
    assert any(rule in check.claim for check in await billing.proof())


async def tamper(fresh: Database, statement: str) -> None:
    """Somebody who owns the database lets the triggers sleep."""
    owner = create_async_engine(async_url(fresh.owner_url))
    async with owner.begin() as connection:
        await connection.execute(text(f"ALTER TABLE {statement.split()[1]} DISABLE TRIGGER USER"))
        await connection.execute(text(statement))
    await owner.dispose()
