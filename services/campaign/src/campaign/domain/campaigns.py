"""A campaign: what it offers, to whom, when and where; its versions and the states of its life."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never

from chassis.errors import FieldViolation, InvalidArgument, NotFound, Refusal

from campaign.domain.catalogue import INT64_MAX, Catalogue, EventTypeId, UnknownEventType
from campaign.domain.matching import CampaignId
from campaign.domain.rules import Rule, check_rule

MAX_NAME_LENGTH = 200
MAX_TEXT_LENGTH = 4_000
MAX_TOUCHPOINTS = 40
MAX_OPPORTUNITY_HOURS = 24 * 366
MAX_ONCE_IN_DAYS = 3_660
MAX_PRIORITY = 1_000_000
EVERY_EVENT = "true"
"""The rule that an empty one stands for."""


class CampaignState(StrEnum):
    """Where a campaign stands; only a LIVE one is matched."""

    DRAFT = "DRAFT"
    LIVE = "LIVE"
    PAUSED = "PAUSED"
    ENDED = "ENDED"


class UnknownCampaign(NotFound):
    """No campaign has this identifier."""


class CampaignEnded(Refusal):
    """A campaign that has ended stays as it is."""


class CampaignNotLive(Refusal):
    """Only a live campaign can be paused."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What is put before the customer; `value_minor` is its worth to the customer in minor units."""

    offer_id: str
    title: str
    body: str
    value_minor: int


@dataclass(frozen=True, slots=True)
class CampaignPlan:
    """What a campaign does. Both ends of its time are business time; `ends_at` itself is outside."""

    display_name: str
    event_type: EventTypeId
    rule: str
    offer: Offer
    touchpoints: tuple[str, ...]
    opportunity_hours: int
    priority: int = 0
    once_in_days: int = 0
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    def runs_at(self, instant: datetime) -> bool:
        """Whether this business time lies within the campaign's."""
        return (self.starts_at is None or self.starts_at <= instant) and (
            self.ends_at is None or instant < self.ends_at
        )

    @property
    def opportunity(self) -> timedelta:
        """How long an opportunity lives."""
        return timedelta(hours=self.opportunity_hours)


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign; `version` counts its plans, `revision` rises with every change of any campaign."""

    id: CampaignId
    plan: CampaignPlan
    rule: Rule
    state: CampaignState
    version: int
    revision: int


@dataclass(frozen=True, slots=True)
class CampaignChanged:
    """State: the campaign as it is now."""

    campaign: Campaign
    occurred_at: datetime

    @property
    def aggregate_id(self) -> str:
        return self.campaign.id


def check_plan(plan: CampaignPlan, catalogue: Catalogue) -> Rule:
    """Refuse, with every field that is wrong, a plan that could not run; otherwise its rule, understood."""
    problems = [FieldViolation(field, problem) for field, problem in _fields(plan).items() if problem]
    rule: Rule | None = None
    try:
        rule = check_rule(plan.rule or EVERY_EVENT, catalogue.event_type(plan.event_type), catalogue)
    except UnknownEventType as refusal:
        problems.append(FieldViolation("event_type", refusal.message))
    except InvalidArgument as refusal:
        problems.extend(refusal.violations)
    if problems or rule is None:
        raise InvalidArgument.many(problems)
    return rule


def _fields(plan: CampaignPlan) -> Mapping[str, str | None]:
    ends_late = plan.starts_at is None or plan.ends_at is None or plan.starts_at < plan.ends_at
    return {
        "display_name": _length(plan.display_name, MAX_NAME_LENGTH),
        "offer.title": _length(plan.offer.title, MAX_NAME_LENGTH),
        "offer.body": _length(plan.offer.body, MAX_TEXT_LENGTH, least=0),
        "offer.value_minor": _range(plan.offer.value_minor, 0, INT64_MAX),
        "touchpoints": _touchpoints(plan.touchpoints),
        "opportunity_hours": _range(plan.opportunity_hours, 1, MAX_OPPORTUNITY_HOURS),
        "priority": _range(plan.priority, -MAX_PRIORITY, MAX_PRIORITY),
        "once_in_days": _range(plan.once_in_days, 0, MAX_ONCE_IN_DAYS),
        "ends_at": None if ends_late else "must be later than starts_at",
    }


def _length(text: str, most: int, *, least: int = 1) -> str | None:
    if "\x00" in text:
        return "must not contain the character U+0000"
    return None if least <= len(text.strip()) and len(text) <= most else f"must have {least} to {most} characters"


def _range(value: int, least: int, most: int) -> str | None:
    return None if least <= value <= most else f"must be from {least} to {most}"


def _touchpoints(touchpoints: tuple[str, ...]) -> str | None:
    if not touchpoints:
        return "at least one touchpoint must be allowed"
    if len(touchpoints) > MAX_TOUCHPOINTS:
        return f"at most {MAX_TOUCHPOINTS} touchpoints"
    return None if len(set(touchpoints)) == len(touchpoints) else "each touchpoint once"


def with_plan(known: Campaign | None, campaign: Campaign) -> Campaign:
    """The campaign after a plan was put: a draft, or the next version in the state it has. Refuse `CampaignEnded`."""
    if known is None:
        return campaign
    if known.state is CampaignState.ENDED:
        raise CampaignEnded(f"campaign {known.id} has ended", campaign_id=known.id)
    return replace(campaign, state=known.state, version=known.version + 1)


def with_state(campaign: Campaign, state: CampaignState) -> Campaign:
    """The campaign in another state. Refuse `CampaignEnded`, `CampaignNotLive`, and the way back to a draft."""
    if campaign.state is state:
        return campaign
    if campaign.state is CampaignState.ENDED:
        raise CampaignEnded(f"campaign {campaign.id} has ended", campaign_id=campaign.id)
    match state:
        case CampaignState.DRAFT:
            raise InvalidArgument("state", "a campaign does not become a draft again")
        case CampaignState.PAUSED if campaign.state is not CampaignState.LIVE:
            raise CampaignNotLive(f"campaign {campaign.id} is not live", campaign_id=campaign.id)
        case CampaignState.LIVE | CampaignState.PAUSED | CampaignState.ENDED:
            return replace(campaign, state=state)
        case _:
            assert_never(state)
