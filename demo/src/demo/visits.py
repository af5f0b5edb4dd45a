"""Customers at touchpoints: they show up in two places at once, one of them gets the offer, and they answer."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from chassis.times import to_proto
from touchstone.touchpoint.v1 import touchpoint_pb2
from touchstone.touchpoint.v1 import touchpoint_service_pb2 as touchpoint

from demo.boss import lot
from demo.desk import Desk
from demo.platform import Touchstone, in_batches
from demo.scenario import APP, HALL, STB

_APP_SHARE = 25


@dataclass(slots=True)
class Visits:
    """A week's visits."""

    touchstone: Touchstone
    desk: Desk

    async def visit(self, customers: Sequence[str], when: datetime) -> int:
        """Every customer is at home before the screen and in the hall or the app in the same moment; contacts made."""
        week = when.date().isoformat()
        at_home, out = _split(customers, week)
        made = await asyncio.gather(
            self._present(
                [_present(each, STB, week, when) for each in at_home] + [_away(each, week, when) for each in out]
            ),
            self._present(
                [_away(each, week, when) for each in at_home] + [_present(each, STB, week, when) for each in out]
            ),
        )
        in_app = [customer for customer in customers if lot(customer, week) % _APP_SHARE == 0]
        opened = await asyncio.gather(*(self._open_app(customer, week, when) for customer in in_app))
        for customer in in_app:
            await self.desk.sell(customer, when)
        contacts = [contact for replies in made for reply in replies for contact in reply.contacts]
        await self._answer(contacts, when)
        return len(contacts) + sum(opened)

    async def _present(self, requests: Sequence[Any]) -> list[Any]:
        return await in_batches(self.touchstone.contacts.BatchPresent, touchpoint.BatchPresentRequest, list(requests))

    async def _open_app(self, customer: str, week: str, when: datetime) -> int:
        """The home page and then an offer, as a channel app asks for them through the gateway; contacts made."""
        gateway = self.touchstone.gateway
        headers = {"Authorization": f"Bearer {self.touchstone.member_token(customer)}"}
        at = to_proto(when).ToJsonString()
        home = await gateway.get(f"/v1/customers/{customer}/home", headers=headers, params={"as_of": at})
        home.raise_for_status()
        if not home.json()["offers"]:
            return 0
        response = await gateway.post(
            f"/v1/customers/{customer}/touchpoints/{APP}/present",
            headers=headers | {"Idempotency-Key": f"app-{customer}-{week}"},
            json={"occurred_at": at},
        )
        response.raise_for_status()
        return len(response.json()["contacts"])

    async def _answer(self, contacts: Sequence[Any], when: datetime) -> None:
        """Four in ten accept, three refuse, and the others are not heard of again."""
        outcomes = [
            (contact, _outcome(lot(contact.customer_id, contact.campaign_id, when.date()) % 10)) for contact in contacts
        ]
        requests = [
            touchpoint.RecordOutcomeRequest(
                request_id=f"outcome-{contact.contact_id}",
                contact_id=contact.contact_id,
                customer_id=contact.customer_id,
                outcome=outcome,
                occurred_at=to_proto(when + timedelta(minutes=1)),
            )
            for contact, outcome in outcomes
            if outcome is not None
        ]
        await in_batches(self.touchstone.contacts.BatchRecordOutcomes, touchpoint.BatchRecordOutcomesRequest, requests)


def _present(customer: str, where: str, week: str, when: datetime) -> touchpoint.PresentRequest:
    return touchpoint.PresentRequest(
        request_id=f"{where}-{customer}-{week}", customer_id=customer, touchpoint=where, occurred_at=to_proto(when)
    )


def _away(customer: str, week: str, when: datetime) -> touchpoint.PresentRequest:
    return _present(customer, HALL if lot(customer) % 3 else APP, week, when)


def _split(customers: Sequence[str], week: str) -> tuple[list[str], list[str]]:
    """Who is before the screen a moment earlier than elsewhere, and who a moment later."""
    home_first = {customer for customer in customers if lot(week, customer) % 2}
    return sorted(home_first), [customer for customer in customers if customer not in home_first]


def _outcome(drawn: int) -> "touchpoint_pb2.Outcome.ValueType | None":
    if drawn < 4:
        return touchpoint_pb2.OUTCOME_ACCEPTED
    return touchpoint_pb2.OUTCOME_REFUSED if drawn < 7 else None
