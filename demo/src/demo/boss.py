"""What BOSS sends: customers and accounts as they appear, recharges and charges by day, payments, timed jobs.

A buyer tops up where the balance does not cover the purchase. Most of that comes through BOSS's batches; every
twentieth buyer tops up in the app, through the gateway, with a member's own token.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from zlib import crc32

import httpx
from chassis.times import to_proto
from touchstone.billing.v1 import account_service_pb2 as account_pb
from touchstone.billing.v1 import bill_service_pb2 as bill_pb
from touchstone.billing.v1 import billing_pb2
from touchstone.billing.v1 import charging_service_pb2 as charging_pb
from touchstone.common.v1.common_pb2 import Money
from touchstone.member.v1 import customer_service_pb2 as customer_pb
from touchstone.member.v1 import member_pb2
from touchstone.member.v1 import membership_service_pb2 as membership_pb
from touchstone.member.v1 import points_service_pb2 as points_pb
from touchstone.scoring.v1 import scoring_pb2
from touchstone.scoring.v1 import scoring_service_pb2 as scoring
from touchstone.touchpoint.v1 import touchpoint_service_pb2 as touchpoint

from demo.platform import Touchstone, all_pages, in_batches
from demo.purchases import Purchase, PurchaseFile
from demo.scenario import CURRENCY, PARTNER_TOUCHPOINT, PLAN_ID

_STEP_MINOR = 2000
_TRIES = 5
_APP_CONCURRENCY = 8
_NOON = time(12, tzinfo=UTC)


def lot(*parts: object) -> int:
    """A number drawn for these parts, the same in every run."""
    return crc32("/".join(map(str, parts)).encode())


def moment(purchase: Purchase) -> datetime:
    """The business time of a purchase: noon of its day, a moment later for each further line of the file."""
    return datetime.combine(purchase.day, _NOON) + timedelta(milliseconds=purchase.line)


@dataclass(slots=True)
class Boss:
    """BOSS's side of the replay: it knows the balances from the replies it got."""

    touchstone: Touchstone
    file: PurchaseFile
    balances: dict[str, int] = field(default_factory=dict)
    app_recharges: int = 0

    async def register(self, newcomers: Sequence[Purchase]) -> None:
        """Makes each new buyer a household with an account and a member, an hour before the first purchase."""
        to = self.touchstone
        upserts = [self._upsert(each) for each in newcomers]
        await in_batches(to.customers.BatchUpsertCustomers, customer_pb.BatchUpsertCustomersRequest, upserts)
        opens = [self._open(each) for each in newcomers]
        await in_batches(to.accounts.BatchOpenAccounts, account_pb.BatchOpenAccountsRequest, opens)
        enrolments = [
            membership_pb.EnrolRequest(
                request_id=f"enrol-{each.customer}",
                customer_id=f"c-{each.customer}",
                occurred_at=to_proto(moment(each) - timedelta(hours=1)),
            )
            for each in newcomers
        ]
        await in_batches(to.memberships.BatchEnrol, membership_pb.BatchEnrolRequest, enrolments)
        self.balances.update({f"a-{each.customer}": 0 for each in newcomers})

    async def sell(self, purchases: Sequence[Purchase]) -> None:
        """A day's purchases: what is missing is topped up first, then every purchase is charged in order."""
        recharges = self._recharges(purchases)
        by_app = [each for each in recharges if lot(each.account_id) % 20 == 0]
        by_boss = [each for each in recharges if lot(each.account_id) % 20 != 0]
        await in_batches(self.touchstone.accounts.BatchRecharge, account_pb.BatchRechargeRequest, by_boss)
        await self._recharge_in_app(by_app)
        charges = [
            charging_pb.ChargeRequest(
                request_id=f"{self.file.value}:{each.line}",
                account_id=f"a-{each.customer}",
                amount=_money(each.amount_minor),
                description=f"{self.file.value}:{each.line}",
                occurred_at=to_proto(moment(each)),
            )
            for each in purchases
        ]
        replies = await in_batches(self.touchstone.charging.BatchCharge, charging_pb.BatchChargeRequest, charges)
        for charge, reply in zip(charges, replies, strict=True):
            self.balances[charge.account_id] = reply.balance_after.minor_units

    async def pay_bills(self, as_of: datetime) -> int:
        """Pays the open bills of nine customers in ten; how many."""
        request = bill_pb.ListBillsRequest(state=billing_pb2.BILL_STATE_OPEN, page_size=500)
        bills = await all_pages(self.touchstone.bills.ListBills, request, "bills")
        payments = [
            bill_pb.PayBillRequest(
                request_id=f"pay-{bill.bill_id}", bill_id=bill.bill_id, channel="bank", occurred_at=to_proto(as_of)
            )
            for bill in bills
            if lot(bill.account_id, bill.issued_at.seconds) % 10
        ]
        replies = await in_batches(self.touchstone.bills.BatchPayBills, bill_pb.BatchPayBillsRequest, payments)
        for reply in replies:
            self.balances[reply.bill.account_id] = reply.balance_after.minor_units
        return len(replies)

    async def run_jobs(self, as_of: datetime) -> None:
        """The week's timed jobs, each as of the same business instant."""
        to, when, week = self.touchstone, to_proto(as_of), as_of.date().isoformat()
        await to.points.ExpirePoints(points_pb.ExpirePointsRequest(request_id=f"expire-{week}", as_of=when), timeout=60)
        evaluate = membership_pb.EvaluateTiersRequest(request_id=f"tiers-{week}", as_of=when)
        await to.memberships.EvaluateTiers(evaluate, timeout=60)
        dispatch = touchpoint.DispatchRequest(
            request_id=f"dispatch-{week}", touchpoint=PARTNER_TOUCHPOINT, as_of=when, contacts_max=10_000
        )
        await to.contacts.Dispatch(dispatch, timeout=60)
        expire = touchpoint.ExpireOpportunitiesRequest(request_id=f"opportunities-{week}", as_of=when)
        await to.contacts.ExpireOpportunities(expire, timeout=60)

    async def score(self, as_of: datetime) -> scoring_pb2.Run:
        """A scoring run as of an instant, published."""
        runs, day = self.touchstone.runs, as_of.date().isoformat()
        start = scoring.StartRunRequest(request_id=f"score-{day}", as_of=to_proto(as_of))
        run = (await runs.StartRun(start, timeout=120)).run
        publish = scoring.PublishRunRequest(request_id=f"publish-{day}", run_id=run.run_id)
        return (await runs.PublishRun(publish, timeout=120)).run  # type: ignore[no-any-return]

    def _upsert(self, purchase: Purchase) -> customer_pb.UpsertCustomerRequest:
        person = member_pb2.Person(person_id=f"p-{purchase.customer}", display_name="Buyer", role="head")
        customer = member_pb2.Customer(
            customer_id=f"c-{purchase.customer}",
            kind=member_pb2.CUSTOMER_KIND_HOUSEHOLD,
            display_name=f"Household {purchase.customer}",
            persons=[person],
            registered_at=to_proto(moment(purchase) - timedelta(hours=1)),
        )
        return customer_pb.UpsertCustomerRequest(request_id=f"customer-{purchase.customer}", customer=customer)

    def _open(self, purchase: Purchase) -> account_pb.OpenAccountRequest:
        return account_pb.OpenAccountRequest(
            request_id=f"account-{purchase.customer}",
            account_id=f"a-{purchase.customer}",
            customer_id=f"c-{purchase.customer}",
            currency=CURRENCY,
            plan_id=PLAN_ID,
            occurred_at=to_proto(moment(purchase) - timedelta(hours=1)),
        )

    def _recharges(self, purchases: Iterable[Purchase]) -> list[account_pb.RechargeRequest]:
        """What must be topped up before these purchases, in whole steps of 20.00."""
        needed: list[account_pb.RechargeRequest] = []
        for each in purchases:
            account_id = f"a-{each.customer}"
            missing = each.amount_minor - self.balances[account_id]
            if missing > 0:
                amount = -(-missing // _STEP_MINOR) * _STEP_MINOR
                needed.append(self._recharge(each, amount))
                self.balances[account_id] += amount
            self.balances[account_id] -= each.amount_minor
        return needed

    def _recharge(self, purchase: Purchase, amount_minor: int) -> account_pb.RechargeRequest:
        return account_pb.RechargeRequest(
            request_id=f"recharge-{purchase.line}",
            account_id=f"a-{purchase.customer}",
            customer_id=f"c-{purchase.customer}",
            amount=_money(amount_minor),
            channel="counter",
            occurred_at=to_proto(moment(purchase) - timedelta(minutes=1)),
        )

    async def _recharge_in_app(self, recharges: Sequence[account_pb.RechargeRequest]) -> None:
        slots = asyncio.Semaphore(_APP_CONCURRENCY)
        bearer = f"Bearer {self.touchstone.till_token()}"

        async def one(request: account_pb.RechargeRequest) -> None:
            async with slots:
                # A service that is away for a moment says when to come again; with the same key that is safe.
                for _ in range(_TRIES):
                    response = await self.touchstone.gateway.post(
                        f"/v1/customers/{request.customer_id}/accounts/{request.account_id}/recharges",
                        headers={"Authorization": bearer, "Idempotency-Key": request.request_id},
                        json={
                            "amount": {"minor_units": request.amount.minor_units, "currency": CURRENCY},
                            "channel": "app",
                            "occurred_at": request.occurred_at.ToJsonString(),
                        },
                    )
                    if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                        break
                    await asyncio.sleep(float(response.headers["Retry-After"]))
                response.raise_for_status()

        await asyncio.gather(*(one(each) for each in recharges))
        self.app_recharges += len(recharges)


def _money(minor_units: int) -> Money:
    return Money(minor_units=minor_units, currency=CURRENCY)
