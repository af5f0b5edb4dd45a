"""Draft versions of a program, put them in force, read them, and count members."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from chassis.errors import FieldViolation, InvalidArgument
from chassis.paging import Page
from chassis.times import EARLIEST
from chassis.work import Transaction

from member.domain.program import (
    ActivationTooOld,
    Program,
    ProgramActivated,
    ProgramId,
    ProgramNotFound,
    Tier,
    TierId,
    TierInUse,
    VersionNotFound,
    check_program,
    program_violations,
)
from member.domain.program_diff import differences
from member.store import Connection
from member.store import programs as store
from member.use_cases.entitlements import note_program_changed

_DIGITS = 19


@dataclass(frozen=True, slots=True)
class PutProgram:
    """Put a version of the program, or the first of a new one, and have it in force at once."""

    program: Program
    by: str = ""

    def __post_init__(self) -> None:
        check_program(self.program)


@dataclass(frozen=True, slots=True)
class DraftProgram:
    """Keep a version of the program, which is in force only when it is activated."""

    program: Program
    by: str

    def __post_init__(self) -> None:
        check_program(self.program)


@dataclass(frozen=True, slots=True)
class ActivateProgram:
    """Have a version in force from an instant of business time on, which may be still to come."""

    program_id: ProgramId
    version: int
    active_from: datetime
    by: str


async def put_program(transaction: Transaction, command: PutProgram) -> Program:
    """Put the program in the place of the version in force now, for all of that one's time. TierInUse when a tier is
    left out that a member holds or once held: its rate is still asked for when an order of that time arrives late.
    Rates and requirements hold for everything judged from now on."""
    connection, wanted = transaction.connection, command.program
    known = await store.lock_program_for_update(connection, wanted.program_id)
    if known and known == replace(wanted, revision=known.revision):
        return known
    made = await store.all_activations(connection, wanted.program_id)
    begun = [each for each in made if each.active_from <= transaction.recorded_at]
    active_from = begun[-1].active_from if begun else EARLIEST
    kept = await store.insert_version(connection, wanted, drafted_by=command.by, recorded_at=transaction.recorded_at)
    await _activate(transaction, kept, active_from, by=command.by, others=made)
    return kept


async def draft_program(transaction: Transaction, command: DraftProgram) -> store.Version:
    """Keep the program as its next version. Versions are never edited: whoever corrects one drafts another."""
    connection, recorded_at = transaction.connection, transaction.recorded_at
    await store.lock_program_for_update(connection, command.program.program_id)
    kept = await store.insert_version(connection, command.program, drafted_by=command.by, recorded_at=recorded_at)
    return store.Version(kept, command.by, recorded_at)


async def validate_program(connection: Connection, program: Program) -> list[FieldViolation]:
    """Everything that would be refused about a version if it were drafted and activated now."""
    violations = list(program_violations(program))
    active = await store.find_program(connection, program.program_id)
    gone = _left_out(active, program) if active else set()
    return violations + [
        FieldViolation("program.tiers", f"leaves out {tier_id}, which members hold or once held")
        for tier_id in await store.tiers_held_once(connection, program.program_id, gone)
    ]


async def activate_program(transaction: Transaction, command: ActivateProgram) -> store.Activation:
    """Have a version in force from an instant on, until another activation begins.

    Nothing is edited: to take back what is still to come, activate the version of now at the same instant. Refuses
    VersionNotFound, ActivationTooOld at or before an instant that tiers were judged at, and TierInUse.
    """
    connection = transaction.connection
    await store.lock_program_for_update(connection, command.program_id)
    wanted = await store.find_version(connection, command.program_id, command.version)
    if wanted is None:
        raise VersionNotFound(command.program_id, command.version)
    mark = await store.evaluation_for_update(connection, command.program_id)
    if mark.as_of is not None and command.active_from <= mark.as_of:
        raise ActivationTooOld(command.program_id, mark.as_of)
    made = await store.all_activations(connection, command.program_id)
    return await _activate(transaction, wanted.program, command.active_from, by=command.by, others=made)


async def begin_activations(transaction: Transaction, as_of: datetime) -> int:
    """Let programs know of activations that have begun by an instant, and tell them; returns how many there were.

    Judging and rewarding do not wait for it: they ask which version is in force at the instant in question.
    """
    begun = await store.begun_activations_for_update(transaction.connection, as_of)
    for activation in begun:
        await store.save_active(transaction.connection, activation)
        await note_program_changed(transaction, activation.program_id)
        transaction.emit(
            ProgramActivated(
                activation.program_id, activation.version, activation.active_from, revision=activation.sequence
            )
        )
    return len(begun)


async def get_program(connection: Connection, program_id: ProgramId, version: int = 0) -> Program:
    """A version of the program, or the one in force; ProgramNotFound or VersionNotFound."""
    if version:
        found = await store.find_version(connection, program_id, version)
        if found is None:
            raise VersionNotFound(program_id, version)
        return found.program
    program = await store.find_program(connection, program_id)
    if program is None:
        raise ProgramNotFound(program_id)
    return program


async def diff_programs(connection: Connection, program_id: ProgramId, before: int, after: int) -> list[str]:
    """What changed from one version to another, a line each."""
    return differences(
        await get_program(connection, program_id, before), await get_program(connection, program_id, after)
    )


async def list_versions(connection: Connection, program_id: ProgramId, page: Page) -> list[store.Version]:
    """The versions, newest first, one more than the page holds where there are more."""
    return await store.list_versions(connection, program_id, before=number_of(page), limit=page.wanted)


async def list_activations(connection: Connection, program_id: ProgramId, page: Page) -> list[store.Activation]:
    """The activations, those to come as well, the one noted last first."""
    return await store.list_activations(connection, program_id, before=number_of(page), limit=page.wanted)


async def count_members(connection: Connection, program_id: ProgramId) -> list[tuple[Tier, int]]:
    """How many members hold each tier of the program, by rank."""
    program = await get_program(connection, program_id)
    counts = await store.count_members_by_tier(connection, program_id)
    return [(tier, counts.get(tier.tier_id, 0)) for tier in program.tiers]


async def _activate(
    transaction: Transaction,
    wanted: Program,
    active_from: datetime,
    *,
    by: str,
    others: Sequence[store.Activation],
) -> store.Activation:
    connection, recorded_at = transaction.connection, transaction.recorded_at
    await _check_tiers(transaction, wanted, active_from, others)
    await store.register_tiers(connection, wanted)
    activation = store.Activation(wanted.program_id, 0, wanted.revision, active_from, by, recorded_at)
    noted = await store.insert_activation(connection, activation)
    await begin_activations(transaction, recorded_at)
    return noted


async def _check_tiers(
    transaction: Transaction, wanted: Program, active_from: datetime, others: Sequence[store.Activation]
) -> None:
    """Whoever holds a tier when one version follows another finds it there: TierInUse.

    Who held what so far is known. Who will hold what by an instant still to come is not, so what is in force from now
    until then, and what follows it, must have the same tiers at least.
    """
    connection, now = transaction.connection, transaction.recorded_at
    versions = {
        each.version: await get_program(connection, wanted.program_id, each.version)
        for each in {other.version: other for other in others}.values()
    }
    gone = {tier_id for version in versions.values() for tier_id in _left_out(version, wanted)}
    in_use = set(await store.tiers_held_once(connection, wanted.program_id, gone))
    begun = [other for other in others if other.active_from <= now]
    ahead = [other for other in others if other.active_from > now]
    if active_from > now:
        before = begun[-1:] + [other for other in ahead if other.active_from <= active_from]
        in_use.update(tier_id for other in before for tier_id in _left_out(versions[other.version], wanted))
    after = [other for other in ahead if other.active_from > active_from]
    in_use.update(tier_id for other in after for tier_id in _left_out(wanted, versions[other.version]))
    for tier_id in sorted(in_use):
        raise TierInUse(tier_id)


def _left_out(before: Program, after: Program) -> set[TierId]:
    return {tier.tier_id for tier in before.tiers} - {tier.tier_id for tier in after.tiers}


def number_of(page: Page) -> int | None:
    """The number below which a page begins; InvalidArgument for a token of another list."""
    if page.after is None:
        return None
    if not (page.after.isascii() and page.after.isdigit() and len(page.after) < _DIGITS):
        raise InvalidArgument("page_token", "is not a token that a list call returned")
    return int(page.after)
