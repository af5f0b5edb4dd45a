"""Plans, bills and standings over real gRPC: what callers see of versions, causes, corrections and overdue steps."""

from collections.abc import Mapping
from typing import Any

import pytest
from billing.use_cases.proof import prove
from chassis.testing.serving import Serving
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import text
from touchstone.billing.v1 import bill_pb2, billing_pb2
from touchstone.billing.v1 import bill_service_pb2 as pb

from services.billing.tests.bills import (
    CHASED,
    chase,
    credit,
    crossed,
    days_later,
    issue_due,
    operator,
    refresh,
    resume,
    suspend,
)
from services.billing.tests.calls import (
    AT,
    charged,
    cny,
    member,
    opened,
    paid,
    plan,
    put_plan,
    recharged,
    refused,
    set_plan,
)
from services.billing.tests.factories import ACCOUNT, CUSTOMER, PLAN

OPEN, PAID, CLOSED = billing_pb2.BILL_STATE_OPEN, billing_pb2.BILL_STATE_PAID, billing_pb2.BILL_STATE_CLOSED
ORIGINAL, NOTE = billing_pb2.BILL_KIND_ORIGINAL, billing_pb2.BILL_KIND_CREDIT_NOTE


@pytest.fixture
def settings() -> Mapping[str, Any]:
    """What the calendar asks for is done by the tests' own calls alone."""
    return {"timed_work": False}


async def told(served: Serving) -> list[str]:
    """Names of the events in the outbox, in order."""
    async with served.work.reading() as connection:
        rows = await connection.execute(text("SELECT event_type FROM outbox ORDER BY id"))
        return [name.removeprefix("touchstone.billing.v1.") for name in rows.scalars()]


async def holds(served: Serving) -> None:
    """Fails where the tables contradict a claim."""
    async with served.work.reading() as connection:
        assert [check for check in await prove(connection) if not check.holds] == []


async def standing(calls: Any) -> bill_pb2.AccountStanding:
    """How the account stands."""
    reply: pb.GetAccountStandingResponse = await calls.bills.GetAccountStanding(
        pb.GetAccountStandingRequest(account_id=ACCOUNT)
    )
    return reply.standing


async def life(calls: Any, bill_id: str) -> pb.GetBillResponse:
    """A bill and what happened to it."""
    reply: pb.GetBillResponse = await calls.bills.GetBill(pb.GetBillRequest(bill_id=bill_id))
    return reply


RICH: Mapping[str, Any] = {
    "spend_threshold": billing_pb2.SpendThreshold(days=7, window_days=14, minimum=cny(10_00), maximum=cny(90_00)),
    "cycle": billing_pb2.BILL_CYCLE_MONTHLY,
    "anchor_day": 31,
    "amount_kind": billing_pb2.BILL_AMOUNT_KIND_FIXED,
    "fixed_amount": cny(30_00),
    "overdue_steps": CHASED,
    "effective_from": Timestamp(seconds=1_900_000_000),
}


async def test_a_plan_is_kept_as_it_was_put_in_all_its_versions(served: Serving) -> None:
    calls = operator(served)
    first = (await calls.bills.PutBillPlan(put_plan())).plan
    second = (await calls.bills.PutBillPlan(put_plan("put-2", **RICH))).plan

    assert second == plan(revision=2, **RICH)
    acting = (await calls.bills.GetBillPlan(pb.GetBillPlanRequest(plan_id=PLAN))).plan
    assert acting == first, "the second acts later"
    assert (await calls.bills.GetBillPlan(pb.GetBillPlanRequest(plan_id=PLAN, revision=2))).plan == second
    missing = pb.GetBillPlanRequest(plan_id=PLAN, revision=3)
    assert (await refused(calls.bills.GetBillPlan, missing)).reason == "PLAN_NOT_FOUND"
    page = await calls.bills.ListBillPlanVersions(pb.ListBillPlanVersionsRequest(plan_id=PLAN, page_size=1))
    rest = await calls.bills.ListBillPlanVersions(
        pb.ListBillPlanVersionsRequest(plan_id=PLAN, page_size=1, page_token=page.next_page_token)
    )
    assert [*page.plans, *rest.plans] == [second, first]
    assert rest.next_page_token == ""


async def test_plans_are_listed_by_id_as_they_act(served: Serving) -> None:
    calls = operator(served)
    for name in ("c", "a", "b"):
        await calls.bills.PutBillPlan(put_plan(f"put-{name}", plan_id=name))
    page = await calls.bills.ListBillPlans(pb.ListBillPlansRequest(page_size=2))
    rest = await calls.bills.ListBillPlans(pb.ListBillPlansRequest(page_token=page.next_page_token))

    assert [one.plan_id for one in [*page.plans, *rest.plans]] == ["a", "b", "c"]


async def test_a_plan_that_does_not_ask_up_to_a_target_needs_none(served: Serving) -> None:
    _, bill = await crossed(served, amount_kind=billing_pb2.BILL_AMOUNT_KIND_SHORTFALL, target_balance=None)

    assert bill.amount == cny(10_00)


async def test_a_bill_says_what_caused_it_and_under_which_version(served: Serving) -> None:
    calls, bill = await crossed(served)

    assert (bill.kind, bill.cause, bill.plan_revision) == (ORIGINAL, billing_pb2.CROSSING_CAUSE_DEBIT, 1)
    assert (bill.remaining, bill.credit_limit_at_issue, bill.overdue) == (cny(60_00), cny(0), False)
    shown = await life(calls, bill.bill_id)
    bill.overdue = True  # months have passed since
    assert shown.bill == bill
    assert [step.kind for step in shown.steps] == [bill_pb2.BILL_STEP_KIND_ISSUED]
    assert (await refused(calls.bills.GetBill, pb.GetBillRequest(bill_id="missing"))).reason == "BILL_NOT_FOUND"


async def test_another_plan_crosses_at_once_and_the_reply_has_its_bill(served: Serving) -> None:
    calls = operator(served)
    await calls.bills.PutBillPlan(put_plan())
    await calls.bills.PutBillPlan(put_plan("put-2", plan_id="high", threshold=cny(80_00)))
    for name in ("a", "b", "new"):
        await calls.accounts.OpenAccount(opened(f"open-{name}", account_id=name))
    for name in ("a", "b"):
        await calls.accounts.Recharge(recharged(f"r-{name}", account_id=name, amount=cny(70_00)))

    requests = [set_plan(f"set-{name}", account_id=name, plan_id="high") for name in ("a", "b", "new", "missing")]
    again = [set_plan("set-a-2", account_id="a", plan_id=PLAN), set_plan("set-none", account_id="a", plan_id="")]
    reply = await calls.bills.BatchSetAccountPlans(pb.BatchSetAccountPlansRequest(requests=[*requests, *again]))

    bills = [result.response.bill for result in reply.results]
    assert [bill.amount.minor_units for bill in bills] == [30_00, 30_00, 0, 0, 0, 0]
    assert {bills[0].cause, bills[1].cause} == {billing_pb2.CROSSING_CAUSE_PLAN}
    assert [result.HasField("error") for result in reply.results] == [False, False, False, True, False, False]
    assert [result.response.account.plan_id for result in reply.results] == ["high", "high", "high", "", PLAN, ""]
    assert reply.results[5].response.account.below_threshold
    await holds(served)


async def test_a_standing_shows_what_is_asked_and_what_comes_next(served: Serving) -> None:
    calls, _ = await crossed(served, overdue_steps=CHASED)
    await calls.bills.PutBillPlan(put_plan("put-2", threshold=cny(30_00)))

    shown = await standing(calls)

    assert shown == bill_pb2.AccountStanding(
        account_id=ACCOUNT,
        state=billing_pb2.ACCOUNT_STATE_ACTIVE,
        threshold=cny(30_00),
        plan_revision=2,
        below_threshold=True,
        crossed_threshold=cny(50_00),
        cause=billing_pb2.CROSSING_CAUSE_DEBIT,
        crossed_at=AT,
        asked=cny(60_00),
        on_its_way=cny(0),
        next_overdue_at=Timestamp(seconds=days_later(11).seconds - 12 * 3600),
    )
    own = pb.GetAccountStandingRequest(account_id=ACCOUNT, customer_id=CUSTOMER)
    assert (await member(served).bills.GetAccountStanding(own)).standing == shown
    foreign = pb.GetAccountStandingRequest(account_id=ACCOUNT, customer_id="another")
    assert (await refused(calls.bills.GetAccountStanding, foreign)).reason == "ACCOUNT_NOT_FOUND"


async def test_a_bill_that_nobody_pays_is_reminded_of_then_suspends_and_payment_resumes(served: Serving) -> None:
    calls, bill = await crossed(served, overdue_steps=CHASED)

    before = await calls.bills.RunOverdueSteps(chase(days_later(10)))
    missed = await calls.bills.RunOverdueSteps(chase(days_later(15), "chase-2"))
    again = await calls.bills.RunOverdueSteps(chase(days_later(16), "chase-3"))
    late = await calls.bills.RunOverdueSteps(chase(days_later(21), "chase-4"))
    suspended = await standing(calls)
    await calls.bills.PayBill(paid(bill_id=bill.bill_id, occurred_at=days_later(22)))

    done = [(reply.reminders, reply.suspended) for reply in (before, missed, again, late)]
    assert done == [(0, 0), (1, 0), (0, 0), (0, 1)], "of two reminders that were missed the later is told"
    assert suspended.state == billing_pb2.ACCOUNT_STATE_SUSPENDED
    assert (await standing(calls)).state == billing_pb2.ACCOUNT_STATE_ACTIVE
    assert [step.kind for step in (await life(calls, bill.bill_id)).steps] == [
        bill_pb2.BILL_STEP_KIND_ISSUED,
        bill_pb2.BILL_STEP_KIND_REMINDED,
        bill_pb2.BILL_STEP_KIND_SUSPENDED,
        bill_pb2.BILL_STEP_KIND_PAID,
    ]
    assert (await told(served))[-6:] == [
        "BillReminded",
        "AccountStateChanged",
        "AccountRecharged",
        "BillPaid",
        "BalanceRestored",
        "AccountStateChanged",
    ]
    await holds(served)


async def test_an_operators_suspension_ends_by_an_operator(served: Serving) -> None:
    calls, bill = await crossed(served)

    await calls.bills.SuspendAccount(suspend())
    twice = await refused(calls.bills.SuspendAccount, suspend("suspend-2"))
    await calls.bills.PayBill(paid(bill_id=bill.bill_id))
    still = await standing(calls)
    resumed = (await calls.bills.ResumeAccount(resume())).standing
    served_already = await refused(calls.bills.ResumeAccount, resume("resume-2"))

    assert twice.reason == "ALREADY_SUSPENDED"
    assert (still.state, still.revision) == (billing_pb2.ACCOUNT_STATE_SUSPENDED, 1)
    assert (resumed.state, resumed.revision) == (billing_pb2.ACCOUNT_STATE_ACTIVE, 2)
    assert served_already.reason == "ACCOUNT_ACTIVE"
    await holds(served)


async def test_a_suspended_account_takes_money_and_rated_charges(served: Serving) -> None:
    calls, _ = await crossed(served)
    await calls.bills.SuspendAccount(suspend())

    await calls.charging.Charge(charged("late", amount=cny(1_00)))
    await calls.accounts.Recharge(recharged("more"))

    assert (await standing(calls)).below_threshold is False


async def test_a_credit_note_takes_back_a_part_and_then_the_rest(served: Serving) -> None:
    calls, bill = await crossed(served)

    part = await calls.bills.IssueCreditNote(credit(bill.bill_id, amount=cny(20_00)))
    more = await refused(calls.bills.IssueCreditNote, credit(bill.bill_id, "credit-2", amount=cny(40_01)))
    dollars = credit(bill.bill_id, "credit-3")
    dollars.amount.CopyFrom(cny(1))
    dollars.amount.currency = "USD"
    foreign = await refused(calls.bills.IssueCreditNote, dollars)
    rest = await calls.bills.IssueCreditNote(credit(bill.bill_id, "credit-4"))
    closed = await refused(calls.bills.PayBill, paid(bill_id=bill.bill_id))

    assert (part.credit_note.kind, part.credit_note.bill_number, part.credit_note.state) == (NOTE, 2, CLOSED)
    assert (part.credit_note.corrects_bill_id, part.credit_note.reason) == (bill.bill_id, "our mistake")
    assert (part.bill.remaining, part.bill.state) == (cny(40_00), OPEN)
    assert more.reason == "CREDIT_EXCEEDS_BILL"
    assert [violation.field for violation in foreign.violations] == ["amount.currency"]
    assert (rest.credit_note.amount, rest.bill.state, rest.bill.remaining) == (cny(40_00), CLOSED, cny(0))
    assert closed.reason == "BILL_CLOSED"
    shown = await life(calls, bill.bill_id)
    assert [document.bill_number for document in shown.documents] == [2, 3]
    assert [step.kind for step in shown.steps][1:3] == [bill_pb2.BILL_STEP_KIND_CREDITED] * 2
    assert (await told(served))[-3:] == ["BillCredited", "BillCredited", "BillClosed"]
    await holds(served)


async def test_what_credit_notes_left_is_what_a_payment_brings(served: Serving) -> None:
    calls, bill = await crossed(served)
    await calls.bills.IssueCreditNote(credit(bill.bill_id, amount=cny(20_00)))

    reply = await calls.bills.PayBill(paid(bill_id=bill.bill_id))

    assert (reply.balance_after, reply.bill.state) == (cny(80_00), PAID)
    await holds(served)


async def test_a_second_crossing_of_the_day_is_billed_the_day_after(served: Serving) -> None:
    calls, first = await crossed(served, cycle=billing_pb2.BILL_CYCLE_DAILY)
    await calls.accounts.Recharge(recharged("back", amount=cny(20_00)))
    waiting = await calls.charging.Charge(charged("again", amount=cny(30_00)))
    shown = await standing(calls)

    early = await calls.bills.IssueDueBills(issue_due(AT))
    due = await calls.bills.IssueDueBills(issue_due(shown.next_bill_at, "due-2"))
    repeat = await calls.bills.IssueDueBills(issue_due(shown.next_bill_at, "due-2"))

    assert not waiting.HasField("bill")
    assert (early.accounts, due.accounts, due.bills) == (0, 1, 1)
    assert repeat == due
    (bill,) = (await calls.bills.ListBills(pb.ListBillsRequest(state=OPEN))).bills
    assert (bill.amount, bill.issued_at, bill.transaction_id) == (cny(70_00), shown.next_bill_at, "")
    assert bill.bill_number == first.bill_number + 1
    assert (await told(served))[-1] == "BillIssued"
    await holds(served)


async def test_what_came_back_before_the_day_after_has_nothing_to_be_billed_for(served: Serving) -> None:
    calls, _ = await crossed(served, cycle=billing_pb2.BILL_CYCLE_DAILY)
    for number, amount in enumerate((20_00, 30_00)):
        await calls.accounts.Recharge(recharged(f"back-{number}", amount=cny(amount)))
        if not number:
            await calls.charging.Charge(charged("again", amount=cny(30_00)))

    done = await calls.bills.IssueDueBills(issue_due(days_later(1)))

    assert (done.accounts, done.bills) == (0, 0)
    await holds(served)


async def test_a_threshold_follows_the_spend_of_whole_days(served: Serving) -> None:
    calls = operator(served)
    spends = billing_pb2.SpendThreshold(days=3, window_days=10, minimum=cny(5_00), maximum=cny(60_00))
    await calls.bills.PutBillPlan(put_plan(spend_threshold=spends, threshold=cny(0)))
    await calls.accounts.OpenAccount(opened())
    await calls.accounts.Recharge(recharged(amount=cny(200_00)))
    await calls.charging.Charge(charged(amount=cny(10_01)))

    first = await calls.bills.RefreshThresholds(refresh(days_later(0)))
    young = await standing(calls)
    next_day = await calls.bills.RefreshThresholds(refresh(days_later(1), "refresh-2"))
    one_day = await standing(calls)
    same_day = await calls.bills.RefreshThresholds(refresh(days_later(1), "refresh-3"))
    await calls.bills.RefreshThresholds(refresh(days_later(20), "refresh-4"))

    assert (first.accounts, next_day.accounts, same_day.accounts) == (1, 1, 0)
    assert young.threshold == cny(0), "the plan's own while no whole day is known"
    assert one_day.threshold == cny(31_00), "three days of 10.01, rounded up to the yuan"
    assert (await standing(calls)).threshold == cny(5_00), "nothing spent in the window: the least"


async def test_overdue_bills_are_listed(served: Serving) -> None:
    calls, bill = await crossed(served)
    listed = await calls.bills.ListBills(pb.ListBillsRequest(overdue=True, kind=ORIGINAL))
    await calls.bills.PayBill(paid(bill_id=bill.bill_id))

    assert [one.overdue for one in listed.bills] == [True]
    assert not (await calls.bills.ListBills(pb.ListBillsRequest(overdue=True))).bills
    assert not (await calls.bills.ListBills(pb.ListBillsRequest(kind=NOTE))).bills


async def test_a_member_sees_its_own_bills(served: Serving) -> None:
    _, bill = await crossed(served)

    own = await member(served).bills.GetBill(pb.GetBillRequest(bill_id=bill.bill_id, customer_id=CUSTOMER))
    other = member(served, "another").bills.GetBill
    foreign = await refused(other, pb.GetBillRequest(bill_id=bill.bill_id, customer_id="another"))

    assert own.bill.bill_id == bill.bill_id
    assert foreign.reason == "BILL_NOT_FOUND"


@pytest.mark.parametrize("settings", [{"business_timezone": "Asia/Shanghai", "timed_work": False}])
async def test_days_are_those_of_the_operators_zone(served: Serving) -> None:
    calls, _ = await crossed(served, overdue_steps=CHASED[1:], due_days=0)

    # The first of March at noon UTC is the evening there; the day after begins at 16:00 UTC.
    assert (await standing(calls)).next_overdue_at == Timestamp(seconds=AT.seconds + 4 * 3600)
