"""Thresholds, stays and their bills without a database: the machine against a plain model, and each rule alone."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from billing.domain.account import AccountState, Because, DayThreshold, Service
from billing.domain.bill import BillKind, BillState, CloseReason
from billing.domain.bill_facts import fact_of
from billing.domain.effects import Closed, Credited, Effect, Fell, Issued, Paid, Restored, StateChanged, documents
from billing.domain.entry import concerned, turn
from billing.domain.ids import AccountId, BillId, SubscriptionId, TransactionId
from billing.domain.movement import Billing
from billing.domain.plan import AmountKind, BillCycle, OverdueAction, OverdueStep
from billing.domain.settlement import Settlement, Tab
from billing.domain.threshold import Crossing, CrossingCause, Step, Turn, take
from hypothesis import given
from hypothesis import strategies as st

from services.billing.tests.factories import (
    ACCOUNT,
    CALENDAR,
    OCCURRED_AT,
    PLAN,
    a_bill,
    a_plan,
    account_with,
    an_account,
    cny,
    plan_with,
)
from services.billing.tests.stays import HOUR, Stays, amounts, crossed, entry, issued_later, kinds, step

changes = st.lists(st.integers(-40, 40), max_size=60)
thresholds = st.integers(0, 60)


def walked(changes: list[int], start: int = 30) -> list[Step]:
    """The versions of a balance that never goes below 0: what would take it there is left out."""
    balance, steps = start, list[Step]()
    for change in changes:
        if balance + change >= 0:
            steps.append(step(balance, balance + change, len(steps) + 1))
            balance += change
    return steps


def turns(steps: list[Step], threshold: int | None) -> list[Turn]:
    """What the machine did at each step."""
    crossing, seen = None, []
    for each in steps:
        turned = take(crossing, threshold, each)
        crossing = turned.crossing
        seen.append(turned.turn)
    return seen


def stays_below(steps: list[Step], threshold: int) -> list[int]:
    """The plain model: in each stretch of versions below the threshold, the first debit is where the bill belongs."""
    billed, in_stretch = [], False
    for place, each in enumerate(steps):
        if each.balance_after >= threshold:
            in_stretch = False
        elif not in_stretch and each.measured_after < each.measured_before:
            in_stretch = True
            billed.append(place)
    return billed


@given(changes, thresholds)
def test_each_stay_below_the_threshold_is_billed_once(changes: list[int], threshold: int) -> None:
    steps = walked(changes)

    crossed = [place for place, turned in enumerate(turns(steps, threshold)) if turned is Turn.CROSSED]

    assert crossed == stays_below(steps, threshold)


@given(changes, thresholds)
def test_a_crossing_and_a_return_take_turns(changes: list[int], threshold: int) -> None:
    seen = [turned for turned in turns(walked(changes), threshold) if turned is not Turn.NONE]

    assert seen == [Turn.CROSSED, Turn.RESTORED] * (len(seen) // 2) + [Turn.CROSSED] * (len(seen) % 2)


@given(changes)
def test_without_a_plan_nothing_crosses(changes: list[int]) -> None:
    assert set(turns(walked(changes), None)) <= {Turn.NONE}


def test_the_threshold_itself_is_not_below() -> None:
    assert take(None, 50, step(60, 50)).turn is Turn.NONE
    assert take(None, 50, step(60, 49)).turn is Turn.CROSSED
    assert take(Crossing(50, 1), 50, step(49, 50)).turn is Turn.RESTORED


def test_a_credit_and_a_step_that_moves_nothing_never_cross() -> None:
    assert take(None, 50, step(0, 30)).turn is Turn.NONE
    assert take(None, 50, step(30, 30)).turn is Turn.NONE
    assert take(Crossing(50, 1), 50, step(30, 30)) == (step(30, 30), Turn.NONE, Crossing(50, 1), 0)


def test_a_changed_threshold_acts_on_the_next_crossing() -> None:
    crossed_at_50 = Crossing(50, 1)

    assert take(crossed_at_50, 10, step(30, 20)).turn is Turn.NONE, "still below the one it crossed"
    assert take(crossed_at_50, 80, step(30, 55)).turn is Turn.RESTORED, "back at the one it crossed"
    assert take(None, 80, step(90, 70, 3)).crossing == Crossing(80, 3, CrossingCause.DEBIT, OCCURRED_AT)


@pytest.mark.parametrize(
    ("crossing", "met"),
    [
        (step(60, 40, cause=CrossingCause.EXPIRY), 50),
        (step(60, 40, cause=CrossingCause.CREDIT_LIMIT, balance_after=-60), 50),
        (step(40, 40, cause=CrossingCause.PLAN), 50),
        (step(60, -20, cause=CrossingCause.DUE_CHARGE, due_minor=80), 130),
    ],
)
def test_each_cause_crosses(crossing: Step, met: int) -> None:
    turned = take(None, 50, crossing)

    assert (turned.turn, turned.met_minor) == (Turn.CROSSED, met)
    assert turned.crossing is not None
    assert turned.crossing.cause is crossing.cause
    assert turned.step.measure < met, "what crossed is below what it has to come back to"


def test_another_plan_crosses_only_where_something_moved_and_a_raised_limit_never() -> None:
    assert take(None, 50, step(0, 0, 0, cause=CrossingCause.PLAN)).turn is Turn.NONE
    assert take(None, 50, step(10, 40, cause=CrossingCause.CREDIT_LIMIT)).turn is Turn.NONE
    assert take(Crossing(50, 1), 50, step(10, 60, cause=CrossingCause.CREDIT_LIMIT)).turn is Turn.RESTORED


def test_what_is_due_has_to_come_in_on_top() -> None:
    due = take(None, 50, step(60, -20, cause=CrossingCause.DUE_CHARGE, due_minor=80)).crossing

    assert take(due, 50, step(60, 129)).turn is Turn.NONE
    assert take(due, 50, step(60, 130)).turn is Turn.RESTORED
    assert take(due, 50, step(60, -20, cause=CrossingCause.DUE_CHARGE, due_minor=80)).turn is Turn.NONE


def test_what_is_not_due_any_more_counts_no_more() -> None:
    of = SubscriptionId("sub-1")
    due = take(None, 50, step(60, -20, cause=CrossingCause.DUE_CHARGE, due_minor=80, due_of=of)).crossing

    assert due is not None
    assert due.without(SubscriptionId("sub-2")) == due.without(None) == due
    assert take(due.without(of), 10, step(60, 49)).turn is Turn.NONE
    assert take(due.without(of), 10, step(60, 50)).met_minor == 50
    assert due.without(of).without(of).threshold_minor == 50, "it is taken off once"


def test_a_bill_names_what_crossed_and_asks_for_the_whole_gap() -> None:
    stays = Stays()

    fell, issued = stays.settle(entry(step(100_00, 40_00)))

    assert isinstance(fell, Fell)
    assert isinstance(issued, Issued)
    bill = issued.bill
    assert fell.bill_id == bill.bill_id
    assert (bill.amount, bill.balance_at_issue, bill.threshold) == (cny(60_00), cny(40_00), cny(50_00))
    assert (bill.transaction_id, bill.state, bill.kind) == ("charge:2", BillState.OPEN, BillKind.ORIGINAL)
    assert (bill.crossing_version, bill.cause) == (2, CrossingCause.DEBIT)
    assert bill.due_at == OCCURRED_AT + timedelta(days=14)
    assert {fact_of(effect).aggregate_id for effect in (fell, issued)} == {ACCOUNT}


def test_a_stay_ends_with_all_that_was_asked_for_it() -> None:
    stays = crossed()

    restored, closed = stays.settle(entry(step(40_00, 50_00, 3)))

    assert isinstance(restored, Restored)
    assert isinstance(closed, Closed)
    assert (closed.because, closed.account_version) == (CloseReason.RESTORED, 3)
    assert closed.bill.state is BillState.CLOSED
    assert stays.open == []
    assert amounts(stays.settle(entry(step(50_00, 30_00, 4)))) == [70_00], "the next crossing asks anew"


def test_a_balance_that_sways_has_one_bill_for_each_stay() -> None:
    stays, numbers = Stays(), count(2)
    down = [entry(step(100_00, 40_00, next(numbers)), step(40_00, 30_00, next(numbers))) for _ in range(1)]
    seen = stays.settle(*down)
    for _ in range(1000):
        up, again = step(30_00, 60_00, next(numbers)), step(60_00, 30_00, next(numbers))
        seen += stays.settle(entry(up), entry(again), entry(step(30_00, 29_00, next(numbers))))

    assert len(documents(seen)) == 1001
    assert len([effect for effect in seen if isinstance(effect, Closed)]) == 1000
    assert len(stays.open) == 1


def test_a_payment_pays_first_and_then_the_account_is_back() -> None:
    stays = crossed()
    (bill,) = stays.open

    effects = stays.settle(entry(step(40_00, 100_00, 3), settles=bill.paid(OCCURRED_AT)))

    assert kinds(effects) == [Paid, Restored]
    assert not stays.account.below_threshold


def test_bills_that_are_paid_together_are_paid_both() -> None:
    stays = crossed()
    stays.settle(entry(step(40_00, 30_00, 3), billing=Billing.SUPPLEMENT, billed=10_00))
    first, second = stays.open

    effects = stays.settle(
        entry(step(30_00, 90_00, 4), settles=first.paid(OCCURRED_AT)),
        entry(step(90_00, 100_00, 5), settles=second.paid(OCCURRED_AT)),
    )

    assert kinds(effects) == [Paid, Restored, Paid]


def test_a_payment_that_does_not_bring_the_account_back_is_followed_by_a_supplement() -> None:
    stays = crossed(plan_with(amount_kind=AmountKind.SHORTFALL))
    (bill,) = stays.open
    stays.settle(entry(step(40_00, 0, 3)))

    effects = stays.settle(entry(step(0, 10_00, 4), settles=bill.paid(OCCURRED_AT)))

    assert kinds(effects) == [Paid, Issued]
    (more,) = stays.open
    assert (more.amount, more.kind, more.corrects) == (cny(40_00), BillKind.SUPPLEMENT, bill.bill_id)


def test_an_order_in_mid_cycle_is_asked_for_by_a_supplement() -> None:
    stays = crossed()

    effects = stays.settle(entry(step(40_00, 15_00, 3), billing=Billing.SUPPLEMENT, billed=25_00))

    (more,) = documents(effects)
    assert (more.amount, more.kind, more.corrects) == (cny(25_00), BillKind.SUPPLEMENT, stays.open[0].bill_id)
    assert (more.transaction_id, more.reason) == ("charge:3", "why")
    assert amounts(stays.settle(entry(step(15_00, 5_00, 4)))) == [], "usage waits for the next crossing"


def test_a_supplement_asks_for_no_more_than_is_missing() -> None:
    stays = crossed()
    stays.tab = {"pending_minor": 20_00}

    effects = stays.settle(entry(step(40_00, 15_00, 3), billing=Billing.SUPPLEMENT, billed=25_00))

    assert amounts(effects) == [5_00], "of 85 missing 60 are asked and 20 on their way"
    assert amounts(stays.settle(entry(step(15_00, 14_00, 4), billing=Billing.SUPPLEMENT, billed=1_00))) == [1_00]


def test_an_order_of_an_account_that_is_above_is_an_ordinary_debit() -> None:
    stays = Stays()

    assert stays.settle(entry(step(100_00, 60_00), billing=Billing.SUPPLEMENT, billed=40_00)) == []
    assert kinds(stays.settle(entry(step(60_00, 40_00, 3), billing=Billing.SUPPLEMENT, billed=20_00))) == [Fell, Issued]


def test_a_refund_credits_the_newest_bill_first_and_closes_what_is_covered() -> None:
    stays = crossed()
    stays.settle(entry(step(40_00, 10_00, 3), billing=Billing.SUPPLEMENT, billed=30_00))
    original, more = stays.open

    effects = stays.settle(entry(step(10_00, 45_00, 4), billing=Billing.CREDIT, billed=35_00))

    assert kinds(effects) == [Credited, Closed, Credited]
    assert [(note.corrects, note.amount) for note in documents(effects)] == [
        (more.bill_id, cny(30_00)),
        (original.bill_id, cny(5_00)),
    ]
    assert [note.state for note in documents(effects)] == [BillState.CLOSED, BillState.CLOSED]
    assert [bill.remaining for bill in stays.open] == [cny(55_00)]


def test_a_refund_without_an_open_bill_only_moves_the_balance() -> None:
    assert Stays().settle(entry(step(60_00, 90_00), billing=Billing.CREDIT, billed=30_00)) == []


def test_what_is_on_its_way_is_counted_and_looked_at_again() -> None:
    stays = Stays(pending_minor=10_00)

    (fell,) = stays.settle(entry(step(100_00, 40_00)))

    assert isinstance(fell, Fell)
    assert fell.bill_id is None
    assert stays.account.crossing is not None
    assert stays.account.crossing.bill_at == OCCURRED_AT + HOUR
    assert amounts(Stays(pending_minor=9_99).settle(entry(step(100_00, 40_00)))) == [50_01]


def test_a_crossing_that_waited_is_billed_for_what_is_missing_then() -> None:
    stays = Stays(pending_minor=10_00)
    stays.settle(entry(step(100_00, 40_00)))

    waiting, tab = issued_later(stays, 40_00)
    assert waiting == []
    assert tab.account.crossing is not None
    assert tab.account.crossing.bill_at == OCCURRED_AT + 2 * HOUR
    stays.tab = {}
    (issued,), tab = issued_later(stays, 35_00)
    assert amounts([issued]) == [65_00]
    assert tab.account.crossing is not None
    assert tab.account.crossing.bill_at is None
    (bill,) = documents([issued])
    assert (bill.crossing_version, bill.transaction_id, bill.issued_at) == (2, None, OCCURRED_AT + HOUR)


def test_a_plan_that_bills_daily_lets_the_second_crossing_of_a_day_wait() -> None:
    stays = Stays(plan_with(cycle=BillCycle.DAILY))
    stays.settle(entry(step(100_00, 40_00)), entry(step(40_00, 60_00, 3)))

    (fell,) = stays.settle(entry(step(60_00, 30_00, 4)))

    assert isinstance(fell, Fell)
    assert stays.account.crossing is not None
    assert stays.account.crossing.bill_at == CALENDAR.start_of(OCCURRED_AT.date() + timedelta(days=1))
    assert stays.settle(entry(step(30_00, 50_00, 5)))[0] == Restored(
        stays.account, take(Crossing(50_00, 4), None, step(30_00, 50_00, 5))
    )
    tomorrow = step(50_00, 30_00, 6, occurred_at=OCCURRED_AT + timedelta(days=1))
    assert amounts(stays.settle(entry(tomorrow))) == [70_00]


def test_expiries_come_before_the_movement_that_found_them() -> None:
    stays = Stays()
    expired = step(100_00, 45_00, 2, cause=CrossingCause.EXPIRY, transaction_id=TransactionId("expiry:1"))

    effects = stays.settle(entry(expired, step(45_00, 60_00, 3)))

    assert kinds(effects) == [Fell, Issued, Restored, Closed]
    (bill,) = documents(effects)
    assert (bill.cause, bill.transaction_id) == (CrossingCause.EXPIRY, "expiry:1")


def test_the_version_of_the_plan_is_that_of_the_business_time() -> None:
    stays = Stays()
    later = OCCURRED_AT + HOUR
    stays.plans = {PLAN: [plan_with(threshold=cny(80_00), revision=2, effective_from=later), plan_with(revision=1)]}

    assert stays.settle(entry(step(90_00, 70_00, 2))) == []
    assert stays.settle(entry(step(70_00, 60_00, 3, occurred_at=later - timedelta(microseconds=1)))) == []
    fell, issued = stays.settle(entry(step(60_00, 59_00, 4, occurred_at=later)))
    assert isinstance(issued, Issued)
    assert issued.bill.threshold == cny(80_00)
    assert issued.bill.plan is not None
    assert issued.bill.plan.revision == 2
    assert isinstance(fell, Fell)


def test_the_threshold_of_the_day_acts_where_the_plan_follows_the_spend() -> None:
    spends = plan_with(spend=(7, 30, cny(0), None))
    known = account_with(day_threshold=DayThreshold(70_00, OCCURRED_AT.date()))

    assert Stays(spends).settle(entry(step(90_00, 60_00))) == [], "the plan's own until the first is known"
    assert amounts(Stays(spends, known).settle(entry(step(90_00, 60_00)))) == [40_00]
    assert Stays(a_plan(), known).settle(entry(step(90_00, 60_00))) == []


def test_a_suspended_account_is_served_again_once_nothing_is_asked_for() -> None:
    suspended = Service(AccountState.SUSPENDED, 1, Because.OVERDUE, OCCURRED_AT)
    for because, last in ((Because.OVERDUE, [Paid, Restored, StateChanged]), (Because.OPERATOR, [Paid, Restored])):
        stays = crossed(plan_with(overdue_steps=(OverdueStep(1, OverdueAction.SUSPEND),)))
        assert stays.account.overdue_at == CALENDAR.start_of((OCCURRED_AT + timedelta(days=15)).date())
        stays.account = account_with(
            crossing=stays.account.crossing,
            overdue_at=stays.account.overdue_at,
            service=suspended._replace(because=because),
        )
        (bill,) = stays.open
        assert kinds(stays.settle(entry(step(40_00, 100_00, 3), settles=bill.paid(OCCURRED_AT)))) == last
        assert stays.account.overdue_at is None


def test_accounts_of_a_batch_do_not_see_each_other() -> None:
    other = AccountId("acc-2")
    accounts = {ACCOUNT: an_account(), other: an_account(other)}
    entries = [
        entry(step(100_00, 40_00)),
        entry(step(100_00, 40_00, 2, account_id=other)),
        entry(step(40_00, 30_00, 3)),
    ]

    found = turn(accounts, {PLAN: [a_plan()]}, entries)

    assert [each.turn for (each,) in found] == [Turn.CROSSED, Turn.CROSSED, Turn.NONE]
    assert concerned(accounts, entries, found) == {ACCOUNT, other}


def test_a_batch_that_crosses_nothing_concerns_nobody() -> None:
    accounts = {ACCOUNT: an_account()}
    entries = [entry(step(100_00, 90_00), billing=Billing.CREDIT)]

    assert concerned(accounts, entries, turn(accounts, {PLAN: [a_plan()]}, entries)) == set()


def histories() -> st.SearchStrategy[list[tuple[str, int]]]:
    """Debits, credits, orders, refunds and payments of whatever bill is open."""
    kinds_of = st.sampled_from(["debit", "credit", "order", "refund", "pay"])
    return st.lists(st.tuples(kinds_of, st.integers(1, 60)), max_size=40)


def played(moves: list[tuple[str, int]], stays: Stays) -> Iterator[tuple[int, list[Effect]]]:
    """The balance after each move, and what it did."""
    balance, version = 100, 1
    for kind, amount in moves:
        bill = stays.open[-1] if stays.open else None
        change = amount if kind in {"credit", "refund"} else -min(amount, balance)
        settles = None
        if kind == "pay":
            if bill is None:
                continue
            change, settles = bill.remaining.minor_units, bill.paid(OCCURRED_AT)
        billing = {"order": Billing.SUPPLEMENT, "refund": Billing.CREDIT}.get(kind, Billing.PLAIN)
        version += 1
        moved = entry(step(balance, balance + change, version), billing=billing, settles=settles, billed=abs(change))
        balance += change
        yield balance, stays.settle(moved)


@given(histories(), st.sampled_from(AmountKind), st.integers(0, 60), st.integers(0, 60), st.integers(0, 30))
def test_whatever_happens_bills_live_as_long_as_their_stay(
    moves: list[tuple[str, int]], kind: AmountKind, threshold: int, above: int, pending: int
) -> None:
    extra: dict[AmountKind, dict[str, Any]] = {
        AmountKind.FIXED: {"fixed_amount": cny(25)},
        AmountKind.RECURRING_CYCLES: {"recurring_cycles": 2},
    }
    plan = plan_with(
        threshold=cny(threshold), target_balance=cny(threshold + above), amount_kind=kind, **extra.get(kind, {})
    )
    stays = Stays(plan, pending_minor=pending)
    for balance, effects in played(moves, stays):
        issued = documents(effects)
        fell = [effect for effect in effects if isinstance(effect, Fell) and effect.bill_id is not None]
        assert len(fell) == len([bill for bill in issued if bill.kind is BillKind.ORIGINAL])
        below = stays.account.below_threshold
        crossing = stays.account.crossing
        assert crossing is None or stays.open or crossing.bill_at, "whoever is below is asked, or looked at again"
        assert not below or balance < threshold
        assert below or not stays.open, "nothing is asked of an account that is back"
        asked = sum(bill.remaining.minor_units for bill in stays.open)
        if fell:
            assert balance + asked + pending >= threshold, "one bill closes the whole gap"
        assert all(bill.remaining.minor_units > 0 for bill in stays.open)


def test_an_operators_note_closes_a_bill_that_nothing_is_left_of() -> None:
    stays = crossed()
    (bill,) = stays.open
    tab = Tab(stays.account, [bill])
    settling = Settlement({ACCOUNT: tab}, stays.plans, CALENDAR, lambda: BillId("note"))

    effects = list(settling.credit(tab, bill, bill.remaining, entry()))

    assert kinds(effects) == [Credited, Closed]
    assert tab.documents == []
    assert tab.account.below_threshold, "the stay lasts"


def test_an_old_bill_without_a_stay_is_paid_like_any() -> None:
    stays = Stays(account=account_with(crossing=Crossing(50_00, 2)))
    stays.open = [a_bill("old")]

    assert kinds(stays.settle(entry(step(40_00, 100_00, 3), settles=a_bill("old").paid(OCCURRED_AT)))) == [
        Paid,
        Restored,
    ]
