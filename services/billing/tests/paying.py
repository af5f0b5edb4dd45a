"""Bills and payments as acts of the accounts machine: other plans, bills paid and taken back, and money that comes
through a channel: in time, late, twice, never, or to a bill that somebody else has paid.
"""

from collections.abc import Callable
from typing import Any, ClassVar

from billing.domain.ids import PlanId
from billing.domain.plan import AmountKind, BillCycle, BillPlan

from services.billing.tests.factories import cny, plan_with
from services.billing.tests.machine import AccountsMachine, BillingParts, day
from services.billing.tests.ordering import OrdersMachine
from services.billing.tests.papers import HOUR, OFFERS, Offer

PLAN_NAMES = tuple(OFFERS)


def plan_of(name: str, offer: Offer) -> BillPlan:
    """A plan as the model has it, in the words of the rules."""
    kind = AmountKind.SHORTFALL if offer.target is None else AmountKind.TARGET_BALANCE
    return plan_with(
        plan_id=PlanId(name),
        threshold=cny(offer.threshold),
        target_balance=cny(offer.target or offer.threshold),
        cycle=BillCycle.DAILY if offer.daily else BillCycle.IMMEDIATE,
        amount_kind=AmountKind.FIXED if offer.sums else kind,
        fixed_amount=cny(offer.sums) if offer.sums else None,
    )


PLANS = [plan_of(name, offer) for name, offer in OFFERS.items() if offer is not None]


class PaymentsMachine(OrdersMachine):
    """Accounts that are billed, and pay."""

    def set_plan(self, parts: BillingParts) -> None:
        plan = PLAN_NAMES[parts.below(len(PLAN_NAMES))]
        self.model.set_plan(plan, at=day(self.now))
        self.do_set_plan(plan, on=self.now)
        self.expect(None, None)

    def document(self, parts: BillingParts) -> int:
        """An open one mostly; sometimes any, or one that there is not."""
        papers = self.model.bills.papers
        still_open = [number for number, paper in enumerate(papers) if paper.state == "open"]
        if still_open and parts.below(6):
            return still_open[parts.below(len(still_open))]
        return parts.below(len(papers) + 1)

    def pay(self, parts: BillingParts) -> None:
        name, number, on = self.name(), self.document(parts), self.now - parts.late
        refusal = self.model.pay(name, number, at=day(on))
        if self.expect(self.do_pay(name, number, on=on), refusal):
            self.recharges.append(name)

    def note(self, parts: BillingParts) -> None:
        number, amount = self.document(parts), (None, parts.amount)[parts.below(2)]
        self.expect(self.do_note(number, amount, on=self.now), self.model.note(number, amount))

    def bill_due(self, _: BillingParts) -> None:
        self.model.bills.bill_due(day(self.now))
        self.do_bill_due(self.now)
        self.expect(None, None)

    def send(self, parts: BillingParts) -> None:
        name, on, amount = self.name(), self.now - parts.late, parts.amount
        number = self.document(parts) if parts.below(8 if self.model.bills.open else 2) else None
        refusal = self.model.send(name, number, amount, at=day(on))
        self.expect(self.do_send(name, number, amount, on=on), refusal)

    def sent(self, parts: BillingParts) -> str:
        """A payment, mostly one that is on its way; empty where nothing was sent."""
        sent = self.model.bills.sent
        names = [name for name, each in sent.items() if each.state == "on its way"]
        names = names if names and parts.below(4) else list(sent)
        return names[parts.below(len(names))] if names else ""

    def hear(self, parts: BillingParts) -> None:
        """What the provider says, in any order, and often more than once."""
        of, on, said = self.sent(parts), self.now - parts.late, ("pending", "declined", *["succeeded"] * 4)
        if not of:
            return
        kind = said[parts.below(len(said))]
        if kind == "declined":
            self.model.end(of)
        elif kind == "succeeded":
            self.model.succeed(of, at=day(on))
        name = self.name()
        for reference in ("first", "first", "second")[: 1 + parts.below(3)]:
            self.do_hear(name, of, kind, reference, on=on)
        self.expect(None, None)

    def charge_back(self, parts: BillingParts) -> None:
        succeeded = [name for name, each in self.model.bills.sent.items() if each.state == "succeeded"]
        if not succeeded:
            return
        of, on = succeeded[parts.below(len(succeeded))], self.now - parts.late
        amount = (parts.amount, self.model.bills.sent[of].amount)[parts.below(2)]
        self.model.charge_back(of, amount, at=day(on))
        self.do_charge_back(self.name(), of, amount, on=on)
        self.expect(None, None)

    def give_up(self, parts: BillingParts) -> None:
        of = self.sent(parts)
        if of:
            self.expect(self.do_give_up(of, on=self.now), self.model.give_up(of))

    def end_late(self, _: BillingParts) -> None:
        self.model.end_late(day(self.now) + HOUR)
        self.do_end_late(self.now)
        self.expect(None, None)

    ACTS: ClassVar[tuple[Callable[[Any, BillingParts], None], ...]] = (
        *OrdersMachine.ACTS,
        AccountsMachine.charge,
        set_plan,
        pay,
        pay,
        note,
        bill_due,
        send,
        send,
        hear,
        hear,
        charge_back,
        give_up,
        end_late,
    )

    def do_set_plan(self, plan: str, *, on: int) -> None:
        raise NotImplementedError

    def do_pay(self, name: str, number: int, *, on: int) -> str | None:
        raise NotImplementedError

    def do_note(self, number: int, amount: int | None, *, on: int) -> str | None:
        raise NotImplementedError

    def do_bill_due(self, on: int) -> None:
        raise NotImplementedError

    def do_send(self, name: str, number: int | None, amount: int, *, on: int) -> str | None:
        raise NotImplementedError

    def do_hear(self, name: str, of: str, kind: str, reference: str, *, on: int) -> None:
        raise NotImplementedError

    def do_charge_back(self, name: str, of: str, amount: int, *, on: int) -> None:
        raise NotImplementedError

    def do_give_up(self, of: str, *, on: int) -> str | None:
        raise NotImplementedError

    def do_end_late(self, on: int) -> None:
        raise NotImplementedError
