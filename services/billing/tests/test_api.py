"""Billing over real gRPC: what callers get, who may call, and that repeats and races have one effect."""

import asyncio
from typing import Any

import pytest
from chassis import clock
from chassis.rpc.errors import from_status
from chassis.testing.serving import DATED_LONG_AGO, Serving
from chassis.times import to_proto
from google.protobuf.message import Message
from sqlalchemy import text
from touchstone.billing.v1 import account_service_pb2 as account_pb
from touchstone.billing.v1 import bill_service_pb2 as bill_pb
from touchstone.billing.v1 import billing_events_pb2, billing_pb2
from touchstone.billing.v1 import charging_service_pb2 as charging_pb
from touchstone.billing.v1 import payment_service_pb2 as payment_pb
from touchstone.common.v1 import operations_service_pb2

from services.billing.tests.calls import (
    AT,
    Calls,
    adjusted,
    boss,
    charged,
    cny,
    fields,
    member,
    opened,
    paid,
    put_plan,
    recharged,
    refused,
    set_plan,
)
from services.billing.tests.factories import ACCOUNT, CUSTOMER, PLAN


@pytest.fixture
async def calls(served: Serving) -> Calls:
    """The basic plan, and one account on it with 100 yuan."""
    made = boss(served)
    await made.bills.PutBillPlan(put_plan())
    await made.accounts.OpenAccount(opened())
    await made.accounts.Recharge(recharged())
    return made


async def told(served: Serving, event: type[Message]) -> list[Any]:
    """Events of a type in the outbox, in order."""
    async with served.work.reading() as connection:
        rows = await connection.execute(
            text("SELECT payload FROM outbox WHERE event_type = :name ORDER BY id"),
            {"name": event.DESCRIPTOR.full_name},
        )
        return [event.FromString(payload) for payload in rows.scalars()]


async def balance(calls: Calls) -> int:
    """What the account has."""
    reply = await calls.accounts.GetAccount(account_pb.GetAccountRequest(account_id=ACCOUNT))
    return int(reply.account.balance.minor_units)


async def test_an_account_is_opened_and_looked_at(calls: Calls) -> None:
    reply = await calls.accounts.GetAccount(account_pb.GetAccountRequest(account_id=ACCOUNT))

    account = reply.account
    assert (account.account_id, account.customer_id, account.currency, account.plan_id) == (
        ACCOUNT,
        CUSTOMER,
        "CNY",
        PLAN,
    )
    assert (account.balance, account.account_version, account.below_threshold) == (cny(100_00), 1, False)
    assert account.opened_at == opened().occurred_at


async def test_the_bill_is_in_the_answer_of_the_charge_that_caused_it(served: Serving, calls: Calls) -> None:
    first = await calls.charging.Charge(charged("c1", amount=cny(50_00)))
    crossing = await calls.charging.Charge(charged("c2", amount=cny(1)))

    bill = crossing.bill
    assert not first.HasField("bill")
    assert (bill.bill_number, bill.amount, bill.balance_at_issue) == (1, cny(50_01), cny(49_99))
    assert (bill.state, bill.transaction_id) == (billing_pb2.BILL_STATE_OPEN, crossing.transaction_id)
    assert (bill.due_at.seconds - bill.issued_at.seconds) == 14 * 86_400
    (fell,) = await told(served, billing_events_pb2.BalanceFellBelowThreshold)
    (issued,) = await told(served, billing_events_pb2.BillIssued)
    assert (fell.bill_id, fell.balance, fell.account_version) == (bill.bill_id, cny(49_99), 3)
    assert (issued.bill_id, issued.bill_number, issued.amount) == (bill.bill_id, 1, cny(50_01))


async def test_a_bill_is_paid_and_the_account_armed_again(served: Serving, calls: Calls) -> None:
    bill = (await calls.charging.Charge(charged(amount=cny(60_00)))).bill

    reply = await calls.bills.PayBill(paid(bill_id=bill.bill_id))

    assert (reply.bill.state, reply.bill.paid_at) == (billing_pb2.BILL_STATE_PAID, paid().occurred_at)
    assert (reply.balance_after, reply.account_version) == (cny(100_00), 3)
    assert (await refused(calls.bills.PayBill, paid("pay-2", bill_id=bill.bill_id))).reason == "BILL_ALREADY_PAID"
    assert (await calls.bills.PayBill(paid(bill_id=bill.bill_id))) == reply, "a repeat gets the same answer"
    (payment,) = await told(served, billing_events_pb2.BillPaid)
    (restored,) = await told(served, billing_events_pb2.BalanceRestored)
    recharge = (await told(served, billing_events_pb2.AccountRecharged))[-1]
    assert (payment.bill_id, payment.amount) == (bill.bill_id, cny(60_00))
    assert (restored.balance, restored.threshold) == (cny(100_00), cny(50_00))
    assert (recharge.amount, recharge.channel, recharge.transaction_id) == (cny(60_00), "app", reply.transaction_id)


async def test_a_charge_of_zero_counts(served: Serving, calls: Calls) -> None:
    reply = await calls.charging.Charge(charged(amount=cny(0)))

    assert (reply.transaction_id, reply.balance_after, reply.account_version) == ("", cny(100_00), 1)
    (fact,) = await told(served, billing_events_pb2.AccountCharged)
    assert (fact.charge_id, fact.amount, fact.transaction_id) == (reply.charge_id, cny(0), "")


async def test_an_adjustment_is_shown_in_the_statement(calls: Calls) -> None:
    await calls.accounts.AdjustBalance(adjusted())
    await calls.charging.Charge(charged())

    wanted = account_pb.ListStatementEntriesRequest(account_id=ACCOUNT, page_size=2)
    first = await calls.accounts.ListStatementEntries(wanted)
    wanted.page_token = first.next_page_token
    second = await calls.accounts.ListStatementEntries(wanted)

    shown = [*first.entries, *second.entries]
    assert [(entry.kind, entry.amount.minor_units, entry.description) for entry in shown] == [
        ("charge", -10_00, "TV"),
        ("adjustment", -1_00, "typed twice"),
        ("recharge", 100_00, "counter"),
    ]
    assert [entry.account_version for entry in shown] == [3, 2, 1]
    assert second.next_page_token == ""


async def test_lists_come_in_pages(calls: Calls) -> None:
    names = [f"page-{number}" for number in range(5)]
    await calls.accounts.BatchOpenAccounts(
        account_pb.BatchOpenAccountsRequest(
            requests=[opened(f"o-{n}", account_id=n, customer_id="cus-p") for n in names]
        )
    )
    await calls.accounts.BatchRecharge(
        account_pb.BatchRechargeRequest(requests=[recharged(f"r-{n}", account_id=n) for n in names])
    )
    charges = charging_pb.BatchChargeRequest(
        requests=[charged(f"c-{n}", account_id=n, amount=cny(60_00)) for n in names]
    )
    await calls.charging.BatchCharge(charges)

    accounts, bills = [], []
    wanted = account_pb.ListAccountsRequest(customer_id="cus-p", page_size=2)
    while True:
        reply = await calls.accounts.ListAccounts(wanted)
        accounts += [(account.account_id, account.balance.minor_units) for account in reply.accounts]
        wanted.page_token = reply.next_page_token
        if not wanted.page_token:
            break
    asked = bill_pb.ListBillsRequest(customer_id="cus-p", state=billing_pb2.BILL_STATE_OPEN, page_size=2)
    while True:
        found = await calls.bills.ListBills(asked)
        bills += [bill.bill_number for bill in found.bills]
        asked.page_token = found.next_page_token
        if not asked.page_token:
            break

    assert accounts == [(name, 40_00) for name in names]
    assert bills == [5, 4, 3, 2, 1]


async def test_a_batch_has_an_outcome_for_each(calls: Calls) -> None:
    reply = await calls.charging.BatchCharge(
        charging_pb.BatchChargeRequest(
            requests=[
                charged("b1", amount=cny(60_00)),
                charged("b2", amount=cny(-1)),
                charged("b3", amount=cny(60_00)),
                charged("b4", account_id="missing"),
                charged("b1", amount=cny(60_00)),
                charged("b1", amount=cny(1)),
                charged(""),
            ]
        )
    )

    reasons = [from_status(result.error).reason if result.HasField("error") else "" for result in reply.results]
    assert reasons == [
        "",
        "INVALID_ARGUMENT",
        "INSUFFICIENT_BALANCE",
        "ACCOUNT_NOT_FOUND",
        "",
        "REQUEST_ID_REUSED",
        "INVALID_ARGUMENT",
    ]
    assert reply.results[0] == reply.results[4]
    assert reply.results[0].response.HasField("bill")
    assert await balance(calls) == 40_00


async def test_a_call_and_a_batch_share_their_claims(calls: Calls) -> None:
    alone = await calls.charging.Charge(charged("shared"))

    reply = await calls.charging.BatchCharge(charging_pb.BatchChargeRequest(requests=[charged("shared")]))

    assert reply.results[0].response == alone
    assert await balance(calls) == 90_00


async def test_fifty_concurrent_charges_lose_none(served: Serving, calls: Calls) -> None:
    replies = await asyncio.gather(
        *(calls.charging.Charge(charged(f"many-{number}", amount=cny(1_00))) for number in range(50))
    )

    # Put in the order of their versions the answers replay the account's history.
    history = sorted((reply.account_version, reply.balance_after.minor_units) for reply in replies)
    assert history == [(place + 2, 99_00 - place * 100) for place in range(50)]
    assert await balance(calls) == 50_00
    facts = await told(served, billing_events_pb2.AccountCharged)
    assert [fact.account_version for fact in facts] == list(range(2, 52)), "told in the order of booking"
    assert {fact.charge_id for fact in facts} == {reply.charge_id for reply in replies}


async def test_fifty_concurrent_repeats_have_one_effect(served: Serving, calls: Calls) -> None:
    replies = await asyncio.gather(*(calls.charging.Charge(charged("again", amount=cny(60_00))) for _ in range(50)))

    assert all(reply == replies[0] for reply in replies)
    assert await balance(calls) == 40_00
    assert len(await told(served, billing_events_pb2.AccountCharged)) == 1
    assert len(await told(served, billing_events_pb2.BillIssued)) == 1
    other = await refused(calls.charging.Charge, charged("again", amount=cny(1)))
    assert (other.reason, fields(other)) == ("REQUEST_ID_REUSED", ["request_id"])
    assert await balance(calls) == 40_00


async def test_another_callers_request_id_is_another_request(served: Serving, calls: Calls) -> None:
    await calls.charging.Charge(charged("mine"))
    await Calls(served, "billing.charge", subject="other").charging.Charge(charged("mine"))

    assert await balance(calls) == 80_00


async def test_a_hundred_parallel_debits_over_the_line_make_one_bill(served: Serving, calls: Calls) -> None:
    replies = await asyncio.gather(
        *(calls.charging.Charge(charged(f"line-{number}", amount=cny(1_00))) for number in range(100))
    )

    billed = [reply for reply in replies if reply.HasField("bill")]
    assert [reply.balance_after for reply in billed] == [cny(49_00)]
    assert len((await calls.bills.ListBills(bill_pb.ListBillsRequest(account_id=ACCOUNT))).bills) == 1
    assert len(await told(served, billing_events_pb2.BillIssued)) == 1
    assert await balance(calls) == 0


async def test_the_proof_is_told_to_operators(served: Serving, calls: Calls) -> None:
    await calls.charging.Charge(charged(amount=cny(60_00)))

    reply = await served.operations.Prove(operations_service_pb2.ProveRequest())

    assert reply.holds
    assert {check.claim for check in reply.checks} > {"bill numbers have no gaps, and the book ends with the last"}
    assert sum(check.examined for check in reply.checks) > 0


async def test_everything_told_is_published(served: Serving, calls: Calls) -> None:
    await calls.charging.Charge(charged(amount=cny(60_00)))
    await served.settle()

    status = await served.operations.GetStatus(operations_service_pb2.GetStatusRequest(totals=True))

    assert (status.outbox_unpublished, status.outbox_published, status.dead_letters) == (0, 5, 0)


@pytest.mark.parametrize("settings", [DATED_LONG_AGO])
async def test_a_member_reaches_the_members_own(served: Serving, calls: Calls) -> None:
    bill = (await calls.charging.Charge(charged(amount=cny(60_00)))).bill
    me = member(served)

    account = (
        await me.accounts.GetAccount(account_pb.GetAccountRequest(account_id=ACCOUNT, customer_id=CUSTOMER))
    ).account
    listed = (await me.accounts.ListAccounts(account_pb.ListAccountsRequest(customer_id=CUSTOMER))).accounts
    bills = (await me.bills.ListBills(bill_pb.ListBillsRequest(customer_id=CUSTOMER))).bills
    statement = account_pb.ListStatementEntriesRequest(account_id=ACCOUNT, customer_id=CUSTOMER)
    entries = (await me.accounts.ListStatementEntries(statement)).entries

    assert account == listed[0]
    assert [found.bill_id for found in bills] == [bill.bill_id]
    assert len(entries) == 2


@pytest.mark.parametrize("settings", [DATED_LONG_AGO])
async def test_a_member_makes_no_money_by_saying_so(served: Serving, calls: Calls) -> None:
    bill = (await calls.charging.Charge(charged(amount=cny(60_00)))).bill
    me, till = member(served), Calls(served, "billing.recharge", subject="till")
    for word in (
        await refused(me.accounts.Recharge, recharged("mine", customer_id=CUSTOMER)),
        await refused(me.bills.PayBill, paid(bill_id=bill.bill_id, customer_id=CUSTOMER)),
    ):
        assert (word.code, word.reason) == ("PERMISSION_DENIED", "NOT_YOUR_CUSTOMER")
    assert await balance(calls) == 40_00
    await till.accounts.Recharge(recharged("taken", customer_id=CUSTOMER, amount=cny(1)))
    await till.bills.PayBill(paid(bill_id=bill.bill_id, customer_id=CUSTOMER))
    assert await balance(calls) == 100_01


async def test_a_member_does_not_choose_when_it_pays(served: Serving) -> None:
    asked = payment_pb.CreatePaymentRequest(
        request_id="early", account_id=ACCOUNT, customer_id=CUSTOMER, channel="card"
    )
    for at, named in ((AT, ["occurred_at"]), (to_proto(clock.now()), [])):
        asked.occurred_at.CopyFrom(at)
        assert fields(await refused(member(served).payments.CreatePayment, asked)) == named


@pytest.mark.parametrize("settings", [DATED_LONG_AGO])
async def test_anothers_answers_as_if_it_were_not_there(served: Serving, calls: Calls) -> None:
    bill = (await calls.charging.Charge(charged(amount=cny(60_00)))).bill
    thief, owner = member(served, "thief"), "thief"
    till = Calls(served, "billing.recharge", subject="till")

    answers = [
        await refused(thief.accounts.GetAccount, account_pb.GetAccountRequest(account_id=ACCOUNT, customer_id=owner)),
        await refused(thief.accounts.GetAccount, account_pb.GetAccountRequest(account_id="missing", customer_id=owner)),
        await refused(
            thief.accounts.ListStatementEntries,
            account_pb.ListStatementEntriesRequest(account_id=ACCOUNT, customer_id=owner),
        ),
        await refused(till.accounts.Recharge, recharged("t1", customer_id=owner)),
        await refused(till.bills.PayBill, paid("t2", bill_id=bill.bill_id, customer_id=owner)),
        await refused(till.bills.PayBill, paid("t3", customer_id=owner)),
    ]
    lied = await refused(
        thief.accounts.GetAccount, account_pb.GetAccountRequest(account_id=ACCOUNT, customer_id=CUSTOMER)
    )
    bills = await thief.bills.ListBills(bill_pb.ListBillsRequest(customer_id=owner, account_id=ACCOUNT))

    assert [answer.reason for answer in answers] == ["ACCOUNT_NOT_FOUND"] * 4 + ["BILL_NOT_FOUND"] * 2
    assert lied.code == "PERMISSION_DENIED"
    assert list(bills.bills) == []


async def test_a_plan_is_kept_and_looked_up(calls: Calls) -> None:
    changed = await calls.bills.PutBillPlan(put_plan("put-2", threshold=cny(10_00)))
    found = await calls.bills.GetBillPlan(bill_pb.GetBillPlanRequest(plan_id=PLAN))
    without = await calls.bills.SetAccountPlan(set_plan(plan_id=""))

    assert (changed.plan, changed.plan.revision) == (found.plan, 2)
    assert without.account.plan_id == ""


WITHOUT_SCOPE = [
    ("billing.read", "accounts", "OpenAccount", account_pb.OpenAccountRequest()),
    ("billing.recharge", "accounts", "BatchOpenAccounts", account_pb.BatchOpenAccountsRequest()),
    ("billing.write", "accounts", "GetAccount", account_pb.GetAccountRequest()),
    ("billing.write", "accounts", "ListAccounts", account_pb.ListAccountsRequest()),
    ("billing.read", "accounts", "Recharge", account_pb.RechargeRequest()),
    ("billing.recharge", "accounts", "BatchRecharge", account_pb.BatchRechargeRequest()),
    ("billing.write", "accounts", "AdjustBalance", account_pb.AdjustBalanceRequest()),
    ("billing.write", "accounts", "ListStatementEntries", account_pb.ListStatementEntriesRequest()),
    ("billing.write", "accounts", "GetBalance", account_pb.GetBalanceRequest()),
    ("billing.read", "accounts", "GrantGift", account_pb.GrantGiftRequest()),
    ("billing.recharge", "accounts", "BatchGrantGifts", account_pb.BatchGrantGiftsRequest()),
    ("billing.write", "accounts", "RevokeGift", account_pb.RevokeGiftRequest()),
    ("billing.write", "accounts", "ListGifts", account_pb.ListGiftsRequest()),
    ("billing.admin", "accounts", "ExpireGifts", account_pb.ExpireGiftsRequest()),
    ("billing.write", "accounts", "SetCreditLimit", account_pb.SetCreditLimitRequest()),
    ("billing.write", "accounts", "BatchSetCreditLimits", account_pb.BatchSetCreditLimitsRequest()),
    ("billing.read", "accounts", "PutPayers", account_pb.PutPayersRequest()),
    ("billing.write", "accounts", "GetPayers", account_pb.GetPayersRequest()),
    ("billing.write", "accounts", "ReverseRecharge", account_pb.ReverseRechargeRequest()),
    ("billing.write", "bills", "PutBillPlan", bill_pb.PutBillPlanRequest()),
    ("billing.write", "bills", "GetBillPlan", bill_pb.GetBillPlanRequest()),
    ("billing.read", "bills", "SetAccountPlan", bill_pb.SetAccountPlanRequest()),
    ("billing.write", "bills", "ListBills", bill_pb.ListBillsRequest()),
    ("billing.charge", "bills", "PayBill", bill_pb.PayBillRequest()),
    ("billing.recharge", "bills", "BatchPayBills", bill_pb.BatchPayBillsRequest()),
    ("billing.write", "bills", "ListBillPlans", bill_pb.ListBillPlansRequest()),
    ("billing.write", "bills", "ListBillPlanVersions", bill_pb.ListBillPlanVersionsRequest()),
    ("billing.read", "bills", "BatchSetAccountPlans", bill_pb.BatchSetAccountPlansRequest()),
    ("billing.write", "bills", "GetAccountStanding", bill_pb.GetAccountStandingRequest()),
    ("billing.write", "bills", "GetBill", bill_pb.GetBillRequest()),
    ("billing.write", "bills", "IssueCreditNote", bill_pb.IssueCreditNoteRequest()),
    ("billing.write", "bills", "SuspendAccount", bill_pb.SuspendAccountRequest()),
    ("billing.write", "bills", "ResumeAccount", bill_pb.ResumeAccountRequest()),
    ("billing.admin", "bills", "RefreshThresholds", bill_pb.RefreshThresholdsRequest()),
    ("billing.admin", "bills", "IssueDueBills", bill_pb.IssueDueBillsRequest()),
    ("billing.admin", "bills", "RunOverdueSteps", bill_pb.RunOverdueStepsRequest()),
]


async def test_every_call_needs_its_scope(served: Serving) -> None:
    reasons = {
        method: (await refused(getattr(getattr(Calls(served, scope), service), method), request)).reason
        for scope, service, method, request in WITHOUT_SCOPE
    }

    assert reasons == {method: "SCOPE_MISSING" for _, _, method, _ in WITHOUT_SCOPE}
    modules = (account_pb, bill_pb)
    services = [service for module in modules for service in module.DESCRIPTOR.services_by_name.values()]
    methods = {method for service in services for method in service.methods_by_name}
    assert reasons.keys() == methods, "every method is tried"
