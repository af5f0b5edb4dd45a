"""What changed from one version of a program to another, in lines that an operator reads."""

from collections.abc import Iterator
from dataclasses import fields

from member.domain.program import Program, Tier
from member.domain.requirement import Requirement, in_words


def differences(before: Program, after: Program) -> list[str]:
    """A line for each change; none where the versions say the same."""
    return [*_of_program(before, after), *_of_moves(before, after), *_of_tiers(before, after)]


def _of_program(before: Program, after: Program) -> Iterator[str]:
    for name in ("display_name", "window_days", "points_lifetime_days", "time_zone"):
        yield from _changed(name, getattr(before, name), getattr(after, name))


def _of_moves(before: Program, after: Program) -> Iterator[str]:
    for each in fields(before.moves):
        yield from _changed(f"moves.{each.name}", getattr(before.moves, each.name), getattr(after.moves, each.name))


def _of_tiers(before: Program, after: Program) -> Iterator[str]:
    old, new = ({tier.tier_id: tier for tier in program.tiers} for program in (before, after))
    for tier in before.tiers:
        if tier.tier_id not in new:
            yield f"tier {tier.tier_id} removed"
    for tier in after.tiers:
        if tier.tier_id not in old:
            yield f"tier {tier.tier_id} added at rank {tier.rank}: {_asked(after.requirement(tier))}"
        else:
            yield from _of_tier(old[tier.tier_id], tier, before, after)


def _of_tier(old: Tier, new: Tier, before: Program, after: Program) -> Iterator[str]:
    name = f"tier {new.tier_id}"
    for each in ("display_name", "rank", "earn_rate_percent"):
        yield from _changed(f"{name}: {each}", getattr(old, each), getattr(new, each))
    yield from _changed(f"{name}: requirement", _asked(before.requirement(old)), _asked(after.requirement(new)))
    benefits = {benefit.benefit_id: benefit for benefit in old.benefits}
    for benefit in new.benefits:
        known = benefits.pop(benefit.benefit_id, None)
        if known is None:
            yield f"{name}: benefit {benefit.benefit_id} added"
        elif known != benefit:
            yield f"{name}: benefit {benefit.benefit_id} changed from {known.terms} to {benefit.terms}"
    for benefit_id in benefits:
        yield f"{name}: benefit {benefit_id} removed"


def _changed(name: str, before: object, after: object) -> Iterator[str]:
    if before != after:
        yield f"{name} changed from {before} to {after}"


def _asked(requirement: Requirement | None) -> str:
    return in_words(requirement) if requirement else "nothing"
