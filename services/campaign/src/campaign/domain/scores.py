"""What a published score makes known of a customer, and when a change of it is an event."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from campaign.domain.catalogue import EventTypeId, Scalar, TagId
from campaign.domain.intake import CustomerEvent, CustomerId, TagValue

VALUE_GRADE_CHANGED = EventTypeId("value_grade_changed")
BAND, P_ALIVE, LAPSED = TagId("value_band"), TagId("p_alive"), TagId("lapsed")


@dataclass(frozen=True, slots=True)
class Score:
    """A customer's score as of an instant; `tags` are its figures by tag, without those that could not be estimated."""

    source: str
    event_id: str
    customer_id: CustomerId
    as_of: datetime
    revision: int
    tags: Mapping[TagId, Scalar]


def score_tags(score: Score) -> list[TagValue]:
    """Every figure holds from the run's instant on; of two runs as of one instant the later published stands."""
    return [
        TagValue(score.customer_id, tag_id, value, score.as_of, sequence=score.revision)
        for tag_id, value in score.tags.items()
    ]


def grade_event(score: Score, known: Mapping[str, Scalar]) -> CustomerEvent | None:
    """The event of a customer whose band or lapse is another than was known, or known for the first time."""
    told = {tag: score.tags[tag] for tag in (BAND, P_ALIVE, LAPSED) if tag in score.tags}
    if all(known.get(tag) == value for tag, value in told.items() if tag != P_ALIVE):
        return None
    attributes: dict[str, Scalar] = {str(tag): value for tag, value in told.items()}
    attributes |= {f"previous_{tag}": known[tag] for tag in (BAND, LAPSED) if tag in known}
    return CustomerEvent(
        source=score.source,
        event_id=score.event_id,
        event_type=VALUE_GRADE_CHANGED,
        customer_id=score.customer_id,
        occurred_at=score.as_of,
        attributes=attributes,
    )
