"""What a service can prove about its own data: claims, each with what was looked at and who offends."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One claim. `offenders` names the first few, when it does not hold."""

    claim: str
    holds: bool
    examined: int
    offenders: tuple[str, ...] = ()
