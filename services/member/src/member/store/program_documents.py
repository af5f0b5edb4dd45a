"""A version of a program as the JSON that is kept of it, and back."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, assert_never

from chassis.calendar import Period

from member.domain.customer import SubscriberKind
from member.domain.kinds import EarnClass, PointsKind
from member.domain.program import Moves, Program, ProgramId, Tier, TierId
from member.domain.requirement import (
    AllOf,
    AnyOf,
    Points,
    Requirement,
    Services,
    Spend,
    SpendKind,
    Tenure,
    TenureSince,
    Window,
)
from member.store.benefit_documents import benefit_from_json, benefit_to_json

Json = dict[str, Any]


def program_to_json(program: Program) -> Json:
    """Everything but the id and the number of the version, which name the document."""
    return {
        "display_name": program.display_name,
        "window_days": program.window_days,
        "points_lifetime_days": program.points_lifetime_days,
        "time_zone": program.time_zone,
        "moves": asdict(program.moves),
        "tiers": [_tier_to_json(tier) for tier in program.tiers],
    }


def program_from_json(program_id: ProgramId, version: int, document: Mapping[str, Any]) -> Program:
    """The version that was kept."""
    return Program(
        program_id,
        document["display_name"],
        tiers=tuple(_tier_from_json(rank, each) for rank, each in enumerate(document["tiers"])),
        window_days=document["window_days"],
        points_lifetime_days=document["points_lifetime_days"],
        revision=version,
        moves=_moves_from_json(document["moves"]),
        time_zone=document["time_zone"],
    )


def _moves_from_json(kept: Json) -> Moves:
    every = Period(kept.get("evaluated_every", Period.EVER))
    return Moves(**{name: value for name, value in kept.items() if name != "evaluated_every"}, evaluated_every=every)


def _tier_to_json(tier: Tier) -> Json:
    return {
        "tier_id": tier.tier_id,
        "display_name": tier.display_name,
        "points_required": tier.points_required,
        "earn_rate_percent": tier.earn_rate_percent,
        "requirement": _requirement_to_json(tier.requirement) if tier.requirement else None,
        "benefits": [benefit_to_json(benefit) for benefit in tier.benefits],
    }


def _tier_from_json(rank: int, kept: Json) -> Tier:
    return Tier(
        TierId(kept["tier_id"]),
        kept["display_name"],
        rank,
        kept["points_required"],
        kept["earn_rate_percent"],
        requirement=_requirement_from_json(kept["requirement"]) if kept["requirement"] else None,
        benefits=tuple(benefit_from_json(each) for each in kept["benefits"]),
    )


def _requirement_to_json(requirement: Requirement) -> Json:
    match requirement:
        case AllOf(of):
            return {"all": [_requirement_to_json(each) for each in of]}
        case AnyOf(of):
            return {"any": [_requirement_to_json(each) for each in of]}
        case Points():
            return {"points": asdict(requirement)}
        case Spend():
            return {"spend": asdict(requirement)}
        case Tenure():
            return {"tenure": asdict(requirement)}
        case Services():
            return {"services": asdict(requirement)}
        case _:
            assert_never(requirement)


def _requirement_from_json(kept: Json) -> Requirement:
    ((name, terms),) = kept.items()
    match name:
        case "all":
            return AllOf(tuple(_requirement_from_json(each) for each in terms))
        case "any":
            return AnyOf(tuple(_requirement_from_json(each) for each in terms))
        case "points":
            return Points(
                terms["at_least"],
                _window_from_json(terms["window"]),
                kinds=tuple(PointsKind(each) for each in terms["kinds"]),
                classes=tuple(EarnClass(each) for each in terms["classes"]),
            )
        case "spend":
            kinds = tuple(SpendKind(each) for each in terms["kinds"])
            return Spend(terms["at_least_minor"], _window_from_json(terms["window"]), kinds)
        case "tenure":
            return Tenure(terms["days"], TenureSince(terms["since"]))
        case "services":
            return Services(terms["at_least"], tuple(SubscriberKind(each) for each in terms["kinds"]))
    raise ValueError(name)


def _window_from_json(kept: Json) -> Window:
    return Window(kept["days"], Period(kept["period"]))
