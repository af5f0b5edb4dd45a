"""Whom something is offered to: the members of a program, all of them or those of some tiers."""

from collections.abc import Collection
from dataclasses import dataclass

from chassis.errors import NotFound, Refusal

from member.domain.program import Program, ProgramId, TierId

MAX_TIERS_NAMED = 20


class TierNotInProgram(NotFound):
    """Something is offered to a tier that the program does not have."""

    def __init__(self, program_id: ProgramId, tier_id: TierId) -> None:
        super().__init__("the program has no tier with this id", program_id=program_id, tier_id=tier_id)


class NotForThisTier(Refusal):
    """It is offered to members of other tiers."""

    def __init__(self, tier_id: TierId) -> None:
        super().__init__("this is not offered to members of this tier", tier_id=tier_id)


@dataclass(frozen=True, slots=True)
class Audience:
    """Members of a program; of every tier where none is named."""

    program_id: ProgramId
    tier_ids: frozenset[TierId] = frozenset()

    def admits(self, tier_id: TierId) -> bool:
        """Whether members of the tier belong to it."""
        return not self.tier_ids or tier_id in self.tier_ids

    def meets(self, other: "Audience") -> bool:
        """Whether some tier may belong to both."""
        if self.program_id != other.program_id:
            return False
        return not self.tier_ids or not other.tier_ids or bool(self.tier_ids & other.tier_ids)


def check_tiers_known(program: Program, named: Collection[TierId]) -> None:
    """Refuses TierNotInProgram where the program lacks a tier that is named."""
    known = {tier.tier_id for tier in program.tiers}
    for tier_id in sorted(set(named) - known):
        raise TierNotInProgram(program.program_id, tier_id)
