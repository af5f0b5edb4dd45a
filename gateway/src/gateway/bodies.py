"""What callers send: bodies that name every field they know and refuse all others.

When something happened is part of the request and never filled in here: a repeat must be the same request, and a time
taken at its arrival would make it another one.
"""

from datetime import datetime
from typing import Annotated, Literal

from chassis.times import to_proto
from fastapi import Query
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

# The whole numbers that every JSON reader keeps exactly (RFC 8259, section 6), and those of a 32-bit field.
_EXACT = 2**53 - 1
_INT32 = 2**31 - 1


def _text_alone(value: object) -> object:
    """Refuses numbers, which would otherwise pass as seconds since 1970."""
    if isinstance(value, str | datetime):
        return value
    raise ValueError("must be a time as text, e.g. 2026-03-01T12:00:00Z")


def _encodable(text: str) -> str:
    """Refuses half a surrogate pair, which JSON can spell and nothing behind the gateway can store."""
    if any(0xD800 <= ord(character) <= 0xDFFF for character in text):
        raise ValueError("must be text that UTF-8 can encode")
    return text


Text = Annotated[str, AfterValidator(_encodable)]
Integer = Annotated[int, Field(ge=-_EXACT, le=_EXACT)]
Count = Annotated[int, Field(ge=-_INT32, le=_INT32)]
Instant = Annotated[AwareDatetime, Field(strict=False, examples=["2026-03-01T12:00:00Z"]), BeforeValidator(_text_alone)]
PageSize = Annotated[int, Query(ge=0, le=500, description="At most this many; 0 means 50.")]
PageToken = Annotated[str, Query(max_length=300, description="`next_page_token` of the page before.")]
AsOf = Annotated[AwareDatetime | None, Query(description="The instant to look at; now when left out.")]


class Body(BaseModel):
    """Base of every body: unknown fields are refused, and numbers are not made out of text."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Timed(Body):
    """A body with a business time."""

    occurred_at: Instant = Field(description="When it happened, as the sender knows it.")

    def when(self) -> Timestamp:
        """The business time."""
        return to_proto(self.occurred_at)


class MoneyBody(Body):
    """An amount of money."""

    minor_units: Integer = Field(description="In minor units (fen, cents).", examples=[10000])
    currency: Text = Field(description="ISO 4217.", examples=["CNY"])


class PersonBody(Body):
    """A person of a household or enterprise."""

    person_id: Text = Field(examples=["p-1"])
    display_name: Text = Field(examples=["Li Hua"])
    role: Text = Field(default="", examples=["head"])
    phone: Text = Field(default="", examples=["+8613800000000"])
    email: Text = ""


class SubscriberBody(Body):
    """A service line."""

    subscriber_id: Text = Field(examples=["8888000012345678"])
    kind: Literal["TV", "BROADBAND", "MOBILE", "VALUE_ADDED"]
    in_service_since: Instant


class CustomerBody(Body):
    """A customer as the operator's desk knows it."""

    kind: Literal["HOUSEHOLD", "ENTERPRISE"] = "HOUSEHOLD"
    display_name: Text = Field(examples=["Household Li"])
    persons: list[PersonBody] = []
    subscribers: list[SubscriberBody] = []
    registered_at: Instant = Field(description="Since when it is a customer.")


class EnrolBody(Timed):
    """Enrolment in a program."""

    program_id: Text = Field(default="general", examples=["general"])


class HoldBody(Timed):
    """Points to hold for a use that is not certain yet."""

    points: Integer = Field(examples=[200])
    reason: Text = Field(default="", examples=["gift 17"])
    expires_at: Instant = Field(description="When the hold ends by itself.", examples=["2026-03-02T12:00:00Z"])


class ConfirmBody(Timed):
    """Held points to spend."""

    points: Integer = Field(default=0, description="At most those held; 0 means all.")


class AccountBody(Timed):
    """An account to open."""

    currency: Text = Field(examples=["CNY"])
    plan_id: Text = ""


class RechargeBody(Timed):
    """Money to put into an account."""

    amount: MoneyBody
    channel: Text = Field(default="app", examples=["app"])


class PaymentBody(Timed):
    """A payment of a bill."""

    channel: Text = Field(default="app", examples=["app"])


class PresentBody(Timed):
    """The customer is at a touchpoint."""

    delivery_way: Text = Field(default="", description="How the offer will be put; the preferred way when left out.")
    offers_max: int = Field(default=1, ge=1, le=5)


class OutcomeBody(Timed):
    """What became of a contact."""

    outcome: Literal["ACCEPTED", "REFUSED", "IGNORED", "COMPLAINED"]


class OfferBody(Body):
    """What a campaign offers."""

    offer_id: Text = Field(examples=["movie-week"])
    title: Text = Field(examples=["A week of films"])
    body: Text = ""
    value_minor: Integer = Field(default=0, description="Worth to the customer, in minor units.", examples=[990])


class PlanBody(Body):
    """What a campaign does."""

    display_name: Text = Field(examples=["Low balance: top up 100, get 10"])
    event_type: Text = Field(examples=["balance_below_l1"])
    rule: Text = Field(default="", examples=["tags.tier == 'gold'"])
    offer: OfferBody
    touchpoints: list[Text] = Field(examples=[["TP09", "TP15"]])
    opportunity_hours: Count = Field(default=72, description="Hours that the offer waits.", examples=[72])
    priority: Count = Field(default=0, description="Higher goes first where several wait.")
    once_in_days: Count = Field(default=0, description="At most one decision per customer in so many days.")
    starts_at: Instant | None = None
    ends_at: Instant | None = None


class StateBody(Body):
    """The state to bring a campaign to."""

    state: Literal["LIVE", "PAUSED", "ENDED"]


class EndpointBody(Body):
    """A webhook endpoint of a partner."""

    partner_id: Text = Field(examples=["partner-1"])
    url: Text = Field(examples=["https://partner.example/hooks"])
    touchpoints: list[Text] = Field(examples=[["TP16"]])


def optional_time(instant: datetime | None) -> Timestamp | None:
    """The instant, or nothing."""
    return None if instant is None else to_proto(instant)
