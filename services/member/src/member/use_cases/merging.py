"""Make one customer of two: persons, lines, accounts, consents, memberships and points go over, in one transaction."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from chassis.errors import InvalidArgument, Refusal
from chassis.paging import Page
from chassis.work import Transaction

from member.domain.customer import Customer, CustomerId, CustomerMerged, CustomerRegistered, ManagerId, PersonId
from member.domain.membership import Member, MemberId, MemberLeft, PointsHeld
from member.domain.merge import (
    Carried,
    CustomersMerged,
    Memberships,
    Merge,
    Merged,
    Moves,
    PointsMove,
    PointsOwed,
    check_moves,
    memberships_merged,
    merged,
    person_moves,
)
from member.domain.program import ProgramId, Timeline
from member.store import Connection, carrying, consents, customers, earning, members, points, programs
from member.store import merging as store
from member.use_cases import entitlements, tiers
from member.use_cases.consents import SayConsent, say_consents
from member.use_cases.customers import get_customer
from member.use_cases.managers import AssignManager, assign_managers
from member.use_cases.transfers import MoveAll, move_all

MERGES_MAX = 100
ACCOUNTS_PER_ROUND = 500
_REASON = "customers merged"

Mover = Callable[[Transaction, Merge], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class MergeCustomers:
    """Let `merged_id` become part of `customer_id`; `moves` says what its persons become where their ids are taken."""

    customer_id: CustomerId
    merged_id: CustomerId
    moves: tuple[tuple[PersonId, PersonId], ...]
    occurred_at: datetime
    by: str

    def __post_init__(self) -> None:
        check_moves(self.moves)
        if self.merged_id == self.customer_id:
            raise InvalidArgument("merged_customer_id", "must be another customer")


@dataclass(slots=True)
class _Batch:
    """What the merges of one transaction have come to so far."""

    known: dict[CustomerId, Customer | Refusal]
    outcomes: list[Merge | Refusal] = field(default_factory=list)
    moves: list[tuple[PointsMove, Merge]] = field(default_factory=list)
    new: list[Merge] = field(default_factory=list)


async def move_entitlements(transaction: Transaction, merge: Merge) -> None:
    """Granted and used benefits go with the customer."""
    await entitlements.move_entitlements(transaction, merge.merged_id, to=merge.customer_id)


async def move_coupons(transaction: Transaction, merge: Merge) -> None:
    """Coupons go with the customer, each to the person whom its holder becomes."""
    await store.move_coupons(transaction.connection, merge)


async def move_care(transaction: Transaction, merge: Merge) -> None:
    """What was told stays told: nobody is thought of twice, and an erasure finds the birthdays."""
    await store.move_care(transaction.connection, merge)


MOVERS: Sequence[Mover] = (move_entitlements, move_coupons, move_care)
"""What else is kept under a customer's id, and goes over: each room names its own."""


async def merge_customers(transaction: Transaction, commands: Sequence[MergeCustomers]) -> list[Merged | Refusal]:
    """Merge in order. What was merged so already is answered as it was, and nothing changes.

    A refused merge leaves no trace, and its neighbours go on. Refuses CustomerNotFound, CustomerMerged (into a third),
    CustomerErased, PersonNotFound, PersonIdsClash, PersonErased, CustomerTooLarge, and PointsHeld and PointsOwed where
    a membership would end in another one.
    """
    connection = transaction.connection
    ids = {each for command in commands for each in (command.customer_id, command.merged_id)}
    # Before any row, as payments and refunds do: what is spent or given back meanwhile would be noted of who is gone.
    await earning.lock_refunds(connection)
    batch = _Batch(await customers.find_customers_for_update(connection, ids))
    for command in commands:
        batch.outcomes.append(await _merge(transaction, command, batch))
    await _carry(transaction, batch)
    await _place(transaction, batch)
    if batch.new:
        await entitlements.refresh(
            transaction, {each for merge in batch.new for each in (merge.customer_id, merge.merged_id)}
        )
    return [
        outcome
        if isinstance(outcome, Refusal)
        else Merged(outcome, await store.find_carried(connection, outcome.merged_id))
        for outcome in batch.outcomes
    ]


async def list_merges(connection: Connection, customer_id: CustomerId, page: Page) -> list[Merge]:
    """What was merged into the customer, one more than the page holds where there are more."""
    await get_customer(connection, customer_id)
    return await store.list_merges(connection, customer_id, after=page.after, limit=page.wanted)


async def carry_late_points(transaction: Transaction) -> bool:
    """Points that reached a membership just as it ended go after the others; whether there may be more of them."""
    late = await store.arrived_late(transaction.connection, limit=ACCOUNTS_PER_ROUND)
    moves = [
        MoveAll(f"merge:{giver}:{version}", giver, receiver, _REASON, transaction.recorded_at)
        for giver, receiver, version in late
    ]
    await move_all(transaction, moves)
    return len(late) == ACCOUNTS_PER_ROUND


async def _merge(transaction: Transaction, command: MergeCustomers, batch: _Batch) -> Merge | Refusal:
    """One merge up to the points, which all merges of the transaction post together."""
    connection = transaction.connection
    customer, other = batch.known[command.customer_id], batch.known[command.merged_id]
    if isinstance(other, CustomerMerged) and other.metadata["merged_into"] == command.customer_id:
        return await store.find_merge(connection, command.merged_id) or other
    for each in (other, customer):
        if isinstance(each, Refusal):
            return each
    assert isinstance(customer, Customer)
    assert isinstance(other, Customer)
    try:
        erased = await store.erased_persons(connection, [command.customer_id, command.merged_id])
        gone = await store.persons_kept(connection, command.merged_id) - {each.person_id for each in other.persons}
        moves = person_moves(customer, other, dict(command.moves), erased[command.customer_id], gone=sorted(gone))
        whole = merged(customer, other, moves)
        theirs = await _memberships(connection, command, moves, batch)
    except Refusal as refusal:
        return refusal
    # Whoever was forgotten under an id that somebody else has here is forgotten already, and the other one is not.
    still = {moves.get(each, each) for each in erased[command.merged_id]} - {each.person_id for each in whole.persons}
    return await _save(
        transaction, command, batch, _Plan(customer, whole, moves, theirs, erased[command.customer_id] | still)
    )


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a merge comes to before it is written."""

    customer: Customer
    whole: Customer
    moves: Moves
    theirs: Memberships
    erased: set[PersonId]


async def _memberships(connection: Connection, command: MergeCustomers, moves: Moves, batch: _Batch) -> Memberships:
    """What becomes of the memberships; PointsHeld and PointsOwed where one that ends cannot give up its points."""
    found = await members.find_members_of(connection, [command.customer_id, command.merged_id])
    ending_already = {move.giver.member_id for move, _ in batch.moves}
    found = [member for member in found if member.member_id not in ending_already]
    theirs = [member for member in found if member.customer_id == command.merged_id]
    ours = [member for member in found if member.customer_id == command.customer_id]
    plan = memberships_merged(command.customer_id, ours, theirs, moves)
    accounts = {member.member_id for pair in plan.ending for member in pair}
    if accounts:
        await carrying.lock_counts(connection, accounts)  # who counts locks this before the points
    balances = await store.balances_for_update(connection, accounts)
    for member, _ in plan.ending:
        balance, held = balances[member.member_id]
        if held and (await points.balance_at(connection, member.member_id, command.occurred_at)).held:
            raise PointsHeld(member.holder)
        if balance < 0:
            raise PointsOwed(member.holder)
    return plan


async def _save(transaction: Transaction, command: MergeCustomers, batch: _Batch, plan: _Plan) -> Merge:
    connection, recorded_at = transaction.connection, transaction.recorded_at
    merge = Merge(
        command.customer_id,
        command.merged_id,
        plan.moves,
        len(plan.theirs.moving),
        command.occurred_at,
        command.by,
        recorded_at,
    )
    manager_id = await _hand_over_manager(transaction, command, batch)
    revision = await store.save_customer(connection, plan.whole, plan.erased, recorded_at=recorded_at)
    await _hand_over_consents(transaction, merge)
    await store.save_merge(connection, merge)
    await store.move_members(connection, plan.theirs.moving)
    await store.carry_merits(connection, plan.theirs.ending)
    await store.carry_registrations(connection, plan.theirs.ending)
    await carrying.carry_counts(connection, plan.theirs.ending)
    await store.carry_spend(connection, merge)
    for mover in MOVERS:
        await mover(transaction, merge)
    batch.new.append(merge)
    batch.moves += [(PointsMove(giver, receiver, command.occurred_at), merge) for giver, receiver in plan.theirs.ending]
    batch.known[command.customer_id] = replace(plan.whole, revision=revision, manager_id=manager_id)
    batch.known[command.merged_id] = CustomerMerged(command.merged_id, command.customer_id)
    transaction.emit(CustomersMerged(merge))
    transaction.emit(CustomerRegistered(command.customer_id, plan.whole.kind, recorded_at, revision))
    return merge


async def _hand_over_manager(transaction: Transaction, command: MergeCustomers, batch: _Batch) -> ManagerId | None:
    """The manager of the one merged away looks after the other, where nobody does; who looks after it then."""
    customer, other = batch.known[command.customer_id], batch.known[command.merged_id]
    assert isinstance(customer, Customer)
    assert isinstance(other, Customer)
    if other.manager_id is None:
        return customer.manager_id
    said = [AssignManager(command.merged_id, None, command.occurred_at, command.by)]
    if customer.manager_id is None:
        said.append(AssignManager(command.customer_id, other.manager_id, command.occurred_at, command.by))
    last = (await assign_managers(transaction, said))[-1]
    return customer.manager_id if len(said) == 1 or isinstance(last, Refusal) else last.manager_id


async def _hand_over_consents(transaction: Transaction, merge: Merge) -> None:
    """What the persons said holds on, under their names here; where both said something, the later one does."""
    held = [each.said for each in await consents.all_consents(transaction.connection, [merge.merged_id])]
    moved = [
        replace(
            said,
            subject=said.subject._replace(
                customer_id=merge.customer_id,
                person_id=merge.person_moves.get(said.subject.person_id, said.subject.person_id),
            ),
        )
        for said in held
    ]
    await say_consents(transaction, [SayConsent(said) for said in moved])


async def _carry(transaction: Transaction, batch: _Batch) -> None:
    """Posts the points of the memberships that end, and ends them."""
    moves = [move for move, _ in batch.moves]
    gone = await move_all(
        transaction,
        [
            MoveAll(
                f"merge:{move.giver.member_id}",
                move.giver.member_id,
                move.receiver.member_id,
                _REASON,
                move.occurred_at,
            )
            for move in moves
        ],
    )
    carried = [
        (Carried(move.giver.program_id, move.giver.member_id, move.receiver.member_id, points), merge)
        for (move, merge), points in zip(batch.moves, gone, strict=True)
    ]
    await store.end_members(transaction.connection, carried, recorded_at=transaction.recorded_at)
    for move in moves:
        giver = move.giver
        transaction.emit(MemberLeft(giver.member_id, giver.holder, 0, move.occurred_at))


async def _place(transaction: Transaction, batch: _Batch) -> None:
    """Nobody loses a tier by a merge: the better one is held on; then what both earned and spent may reach more."""
    connection = transaction.connection
    moves = batch.moves
    if moves:
        since = min(member.tier_since for move, _ in moves for member in (move.giver, move.receiver))
        programs_of = {move.giver.program_id for move, _ in moves}
        placements = _better_tiers(moves, await programs.find_timelines(connection, programs_of, since=since))
        await tiers.place_members(transaction, placements, reason="customers merged")
    await tiers.judge_customers(transaction, {merge.customer_id: merge.merged_at for merge in batch.new})


def _better_tiers(
    moves: Sequence[tuple[PointsMove, Merge]], timelines: Mapping[ProgramId, Timeline]
) -> list[tiers.Placement]:
    """Who is to be put into the tier of a membership that ended in the own one, also by way of another.

    A tier is taken when the customers merged, but never before either of the two was: the history goes forward only.
    """
    better: dict[MemberId, tiers.Placement] = {}
    for move, merge in moves:
        giver, receiver = _standing(move.giver, better), _standing(move.receiver, better)
        at = max(merge.merged_at, giver.occurred_at, receiver.occurred_at)
        program = timelines[move.giver.program_id].at(at)
        if program.tier(giver.tier_id).rank > program.tier(receiver.tier_id).rank:
            better[receiver.member_id] = replace(giver, member_id=receiver.member_id, occurred_at=at)
    ended = {move.giver.member_id for move, _ in moves}
    return [placement for member_id, placement in better.items() if member_id not in ended]


def _standing(member: Member, better: Mapping[MemberId, tiers.Placement]) -> tiers.Placement:
    held = tiers.Placement(member.member_id, member.tier_id, member.tier_since, member.holds_until)
    return better.get(member.member_id, held)
