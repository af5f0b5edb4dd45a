"""What a person, or the customer as a whole, agreed to: purpose by purpose, and everything that was ever said."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from member.domain.customer import CustomerId, PersonId

# What ends a consent where nobody said so.
ERASURE = "erasure"


class Subject(NamedTuple):
    """Who, about what; each person speaks for itself, and the customer as a whole for none of them."""

    customer_id: CustomerId
    person_id: PersonId
    purpose: str


@dataclass(frozen=True, slots=True)
class Said:
    """One statement: `text_version` is that of the text agreed to, empty where there never was one."""

    subject: Subject
    given: bool
    text_version: str
    channel: str
    occurred_at: datetime
    said_by: str


@dataclass(frozen=True, slots=True)
class Consent:
    """A statement as stored; `revision` is dense from 1 within the subject, in the order of recording."""

    said: Said
    revision: int
    recorded_at: datetime


class Standing(NamedTuple):
    """What holds about a subject, None while nothing was said, and how many statements there are."""

    holds: Consent | None
    statements: int


@dataclass(frozen=True, slots=True)
class ConsentChanged:
    """State: what holds about a subject from now on."""

    consent: Consent

    @property
    def aggregate_id(self) -> str:
        """The customer orders its facts."""
        return self.consent.said.subject.customer_id

    @property
    def occurred_at(self) -> datetime:
        """When it was said."""
        return self.consent.said.occurred_at


NOTHING_SAID = Standing(None, 0)


def holding(statements: Sequence[Consent]) -> Consent | None:
    """What holds of everything said about a subject: the latest by business time, of equal ones the last recorded."""
    return max(statements, key=lambda each: (each.said.occurred_at, each.revision), default=None)


def adds_nothing(said: Said, standing: Standing) -> bool:
    """Whether the statement repeats what holds since then: the same answer to the same text, not said earlier."""
    if standing.holds is None:
        return False
    held = standing.holds.said
    same = said.given == held.given and (not said.given or said.text_version == held.text_version)
    return same and said.occurred_at >= held.occurred_at


def stated(said: Said, standing: Standing, recorded_at: datetime) -> tuple[Consent, Standing]:
    """The statement as it is to be stored, and what holds after it: a late one does not overtake a later one."""
    consent = Consent(said, standing.statements + 1, recorded_at)
    holds = holding([each for each in (standing.holds, consent) if each is not None])
    return consent, Standing(holds, consent.revision)
