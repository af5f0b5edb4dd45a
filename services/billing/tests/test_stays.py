"""Whoever is below is asked for it until the stay ends, and whoever paid what was asked is served."""

from dataclasses import replace
from datetime import timedelta

from billing.domain.account import AccountState, Because, Service
from billing.domain.bill import BillKind
from billing.domain.effects import Closed, Credited, Issued, Paid, Restored, StateChanged, documents
from billing.domain.ids import BillId
from billing.domain.movement import Billing
from billing.domain.plan import AmountKind, OverdueAction, OverdueStep
from billing.domain.settlement import Settlement, Tab

from services.billing.tests.factories import CALENDAR, OCCURRED_AT, PLAN, a_plan, cny, plan_with
from services.billing.tests.stays import HOUR, Stays, amounts, crossed, entry, issued_later, kinds, step

SHORTFALL = plan_with(
    amount_kind=AmountKind.SHORTFALL,
    overdue_steps=(OverdueStep(1, OverdueAction.REMIND), OverdueStep(2, OverdueAction.SUSPEND)),
)
OVERDUE = Service(AccountState.SUSPENDED, 1, Because.OVERDUE, OCCURRED_AT)


def in_debt(*, suspended: bool = False) -> Stays:
    """A bill of 10 yuan, after which 40 more were used."""
    stays = crossed(SHORTFALL)
    stays.settle(entry(step(40_00, 0, 3)))
    if suspended:
        stays.account = replace(stays.account, service=OVERDUE)
    return stays


def test_who_paid_all_that_was_asked_is_served_though_more_was_used_meanwhile() -> None:
    stays = in_debt(suspended=True)
    (bill,) = stays.open

    effects = stays.settle(entry(step(0, 10_00, 4), settles=bill.paid(OCCURRED_AT)))

    assert kinds(effects) == [Paid, Issued, StateChanged]
    assert stays.account.service.state is AccountState.ACTIVE
    assert stays.account.overdue_at == CALENDAR.start_of((OCCURRED_AT + timedelta(days=15)).date())


def test_who_still_owes_a_bill_of_before_is_not_served() -> None:
    stays = crossed(SHORTFALL)
    stays.settle(entry(step(40_00, 30_00, 3), billing=Billing.SUPPLEMENT, billed=10_00))
    stays.account = replace(stays.account, service=OVERDUE)

    effects = stays.settle(entry(step(30_00, 40_00, 4), settles=stays.open[0].paid(OCCURRED_AT)))

    assert kinds(effects) == [Paid]
    assert stays.account.service == OVERDUE


def test_what_a_supplement_asks_for_is_chased_once_its_original_is_paid() -> None:
    stays = crossed(SHORTFALL)
    stays.settle(entry(step(40_00, 30_00, 3), billing=Billing.SUPPLEMENT, billed=10_00))
    stays.account = replace(stays.account, overdue_at=None)

    stays.settle(entry(step(30_00, 40_00, 4), settles=stays.open[0].paid(OCCURRED_AT)))

    assert [bill.kind for bill in stays.open] == [BillKind.SUPPLEMENT]
    assert stays.account.overdue_at == OCCURRED_AT, "its steps are worked out by the next round"


def test_a_refund_that_takes_back_the_last_bill_is_followed_by_what_is_still_missing() -> None:
    stays = in_debt()
    (bill,) = stays.open

    effects = stays.settle(entry(step(0, 25_00, 4), billing=Billing.CREDIT, billed=25_00))

    assert kinds(effects) == [Credited, Closed, Issued]
    (more,) = stays.open
    assert (more.kind, more.amount, more.corrects) == (BillKind.SUPPLEMENT, cny(25_00), bill.bill_id)


def test_what_seems_to_be_on_its_way_at_a_payment_is_looked_at_again() -> None:
    stays = in_debt()
    (bill,) = stays.open
    stays.tab = {"pending_minor": 40_00}

    effects = stays.settle(entry(step(0, 10_00, 4), settles=bill.paid(OCCURRED_AT)))

    assert kinds(effects) == [Paid]
    assert stays.account.crossing is not None
    assert stays.account.crossing.bill_at == OCCURRED_AT + HOUR
    stays.tab = {}
    (issued,), tab = issued_later(stays, 10_00, original=bill.bill_id)
    assert amounts([issued]) == [40_00]
    (more,) = documents([issued])
    assert (more.kind, more.corrects, more.transaction_id) == (BillKind.SUPPLEMENT, bill.bill_id, None)
    assert tab.account.overdue_at is not None


def test_a_stay_whose_plan_was_taken_away_is_looked_at_again() -> None:
    stays = Stays(pending_minor=10_00)
    stays.settle(entry(step(100_00, 40_00)))
    tab = Tab(stays.account)
    settling = Settlement({stays.account.account_id: tab}, {}, CALENDAR, lambda: BillId("late"))
    at = OCCURRED_AT + HOUR

    waiting = list(settling.issue(tab, None, step(40_00, 40_00, 2, occurred_at=at)))

    assert waiting == []
    assert tab.account.crossing is not None
    assert tab.account.crossing.bill_at == at + HOUR


def test_an_operators_note_asks_for_nothing_new() -> None:
    stays = in_debt()
    (bill,) = stays.open
    tab = Tab(stays.account, [bill])
    settling = Settlement({stays.account.account_id: tab}, {PLAN: [SHORTFALL]}, CALENDAR, lambda: BillId("note"))

    assert kinds(list(settling.credit(tab, bill, bill.remaining, entry()))) == [Credited, Closed]


def test_what_is_given_back_to_be_taken_again_brings_nobody_back() -> None:
    stays = crossed(a_plan())
    first = entry(step(40_00, 90_00, 3))._replace(taken_again=True)

    effects = stays.settle(first, entry(step(90_00, 30_00, 4), billing=Billing.SUPPLEMENT, billed=10_00))

    assert amounts(effects) == [10_00], "a supplement of the net"
    assert [bill.kind for bill in stays.open] == [BillKind.ORIGINAL, BillKind.SUPPLEMENT]
    back = entry(step(30_00, 90_00, 5))._replace(taken_again=True)
    assert kinds(stays.settle(back, entry(step(90_00, 60_00, 6)))) == [Restored, Closed, Closed]
    alone = crossed(a_plan())
    assert kinds(alone.settle(first)) == [Restored, Closed], "where nothing takes it, it does"


def test_a_cheaper_change_credits_and_asks_once() -> None:
    stays = in_debt()
    again = entry(step(0, 20_00, 4))._replace(taken_again=True)
    net = entry(step(20_00, 35_00, 5), billing=Billing.CREDIT, billed=15_00)._replace(taken_again=True)

    effects = stays.settle(again, net, entry(step(35_00, 15_00, 6)))

    assert kinds(effects) == [Credited, Closed, Issued]
    assert [bill.amount for bill in stays.open] == [cny(35_00)]
