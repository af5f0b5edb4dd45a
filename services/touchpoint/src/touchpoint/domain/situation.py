"""What is known of one customer when he is met, and the choice of offers that follows from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from touchpoint.domain.contact import Meeting
from touchpoint.domain.identity import CampaignId
from touchpoint.domain.opportunity import Opportunity
from touchpoint.domain.policy import ContactPolicy


class SilenceReason(StrEnum):
    """Why nothing is shown, the first that holds."""

    NOTHING_WAITS = "nothing_waits"
    COOLING_OFF = "cooling_off"
    CAP_REACHED = "cap_reached"


@dataclass(frozen=True, slots=True)
class Choice:
    """What a meeting takes, the best first; `capped` would have been next but for the cap."""

    taken: tuple[Opportunity, ...]
    capped: tuple[Opportunity, ...]
    silence: SilenceReason | None


@dataclass(slots=True)
class Situation:
    """The open opportunities, contacts and refusals of one customer, kept true over the meetings of a batch."""

    waiting: list[Opportunity] = field(default_factory=list)
    contact_times: list[datetime] = field(default_factory=list)
    refusal_times: Mapping[CampaignId, Sequence[datetime]] = field(default_factory=dict)

    def choose(self, meeting: Meeting, policy: ContactPolicy) -> Choice:
        """The offers for the meeting: open, allowed there, not resting after a refusal, within the cap."""
        at = meeting.occurred_at
        here = sorted(
            (one for one in self.waiting if one.waits_at(at) and one.allowed_at(meeting.touchpoint)),
            key=lambda one: one.rank,
        )
        if not here:
            return Choice((), (), SilenceReason.NOTHING_WAITS)
        ready = [one for one in here if not policy.cools_off(self.refusal_times.get(one.campaign_id, ()), at)]
        if not ready:
            return Choice((), (), SilenceReason.COOLING_OFF)
        wanted = ready[: meeting.offers_max]
        room = policy.room(self.contact_times, at)
        silence = None if room else SilenceReason.CAP_REACHED
        return Choice(tuple(wanted[:room]), tuple(wanted[room:]), silence)

    def take(self, choice: Choice, at: datetime) -> None:
        """Counts the chosen offers as contacts, so that the next meeting of the same batch sees them."""
        taken = {one.opportunity_id for one in choice.taken}
        self.waiting = [one for one in self.waiting if one.opportunity_id not in taken]
        self.contact_times.extend(at for _ in choice.taken)
