"""What callers send: bodies that name every field they know and refuse all others."""

from datetime import datetime
from typing import Annotated, Literal

from chassis import clock
from chassis.times import to_proto
from fastapi import Query
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

PageSize = Annotated[int, Query(ge=0, le=500, description="At most this many; 0 means 50.")]
PageToken = Annotated[str, Query(max_length=300, description="`next_page_token` of the page before.")]
AsOf = Annotated[AwareDatetime | None, Query(description="The instant to look at; now when left out.")]


class Body(BaseModel):
    """Base of every body: unknown fields are refused, and numbers are not made out of text."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Timed(Body):
    """A body with a business time."""

    occurred_at: Annotated[
        AwareDatetime | None, Field(strict=False, description="When it happened; now when left out.")
    ] = None

    def when(self) -> Timestamp:
        """The business time."""
        return to_proto(self.occurred_at or clock.now())


class MoneyBody(Body):
    """An amount of money."""

    minor_units: int = Field(description="In minor units (fen, cents).", examples=[10000])
    currency: str = Field(description="ISO 4217.", examples=["CNY"])


class PersonBody(Body):
    """A person of a household or enterprise."""

    person_id: str = Field(examples=["p-1"])
    display_name: str = Field(examples=["Li Hua"])
    role: str = Field("", examples=["head"])
    phone: str = Field("", examples=["+8613800000000"])
    email: str = ""


class SubscriberBody(Body):
    """A service line."""

    subscriber_id: str = Field(examples=["8888000012345678"])
    kind: Literal["TV", "BROADBAND", "MOBILE", "VALUE_ADDED"]
    in_service_since: Annotated[AwareDatetime, Field(strict=False)]


class CustomerBody(Body):
    """A customer as the operator's desk knows it."""

    kind: Literal["HOUSEHOLD", "ENTERPRISE"] = "HOUSEHOLD"
    display_name: str = Field(examples=["Household Li"])
    persons: list[PersonBody] = []
    subscribers: list[SubscriberBody] = []
    registered_at: Annotated[AwareDatetime | None, Field(strict=False)] = None


class EnrolBody(Timed):
    """Enrolment in a program."""

    program_id: str = Field("general", examples=["general"])


class HoldBody(Timed):
    """Points to hold for a use that is not certain yet."""

    points: int = Field(examples=[200])
    reason: str = Field("", examples=["gift 17"])
    expires_at: Annotated[AwareDatetime, Field(strict=False, description="When the hold ends by itself.")]


class ConfirmBody(Timed):
    """Held points to spend."""

    points: int = Field(0, description="At most those held; 0 means all.")


class AccountBody(Timed):
    """An account to open."""

    currency: str = Field(examples=["CNY"])
    plan_id: str = ""


class RechargeBody(Timed):
    """Money to put into an account."""

    amount: MoneyBody
    channel: str = Field("app", examples=["app"])


class PaymentBody(Timed):
    """A payment of a bill."""

    channel: str = Field("app", examples=["app"])


class PresentBody(Timed):
    """The customer is at a touchpoint."""

    delivery_way: str = Field("", description="How the offer will be put; the preferred way when left out.")
    offers_max: int = Field(1, ge=1, le=5)


class OutcomeBody(Timed):
    """What became of a contact."""

    outcome: Literal["ACCEPTED", "REFUSED", "IGNORED", "COMPLAINED"]


class OfferBody(Body):
    """What a campaign offers."""

    offer_id: str = Field(examples=["movie-week"])
    title: str = Field(examples=["A week of films"])
    body: str = ""
    value_minor: int = 0


class PlanBody(Body):
    """What a campaign does."""

    display_name: str = Field(examples=["Low balance: top up 100, get 10"])
    event_type: str = Field(examples=["balance_below_l1"])
    rule: str = Field("", examples=["tags.tier == 'gold'"])
    offer: OfferBody
    touchpoints: list[str] = Field(examples=[["TP09", "TP15"]])
    opportunity_hours: int = 72
    priority: int = 0
    once_in_days: int = 0
    starts_at: Annotated[AwareDatetime | None, Field(strict=False)] = None
    ends_at: Annotated[AwareDatetime | None, Field(strict=False)] = None


class StateBody(Body):
    """The state to bring a campaign to."""

    state: Literal["LIVE", "PAUSED", "ENDED"]


class EndpointBody(Body):
    """A webhook endpoint of a partner."""

    partner_id: str = Field(examples=["partner-1"])
    url: str = Field(examples=["https://partner.example/hooks"])
    touchpoints: list[str] = Field(examples=[["TP16"]])


def optional_time(instant: datetime | None) -> Timestamp | None:
    """The instant, or nothing."""
    return None if instant is None else to_proto(instant)
