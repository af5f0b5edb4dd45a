"""Figures over all contacts, as operators and proofs read them."""

from dataclasses import dataclass

from touchpoint.domain.identity import TouchpointCode


@dataclass(frozen=True, slots=True)
class TouchpointFigures:
    """Contacts and outcomes of one touchpoint; only the last outcome of a contact counts."""

    touchpoint: TouchpointCode
    contacts: int
    accepted: int
    refused: int


@dataclass(frozen=True, slots=True)
class ContactFigures:
    """Counts over everything stored. `shown_twice` counts opportunities with more than one contact: a fault."""

    opportunities: int
    open: int
    taken: int
    expired: int
    touchpoints: tuple[TouchpointFigures, ...]
    contacts_in_window_max: int
    shown_twice: int
    customers_contacted: int
