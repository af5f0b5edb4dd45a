"""Killed at the protocol's points while calls about points go on: what was answered stands, what was not is found out
by asking again, and the books agree with the callers' own history of answers."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from chassis.database import async_url
from chassis.embedded import NatsServer
from chassis.ids import new_id
from chassis.testing import Databases, Keys
from chassis.testing.processes import ServiceProcess
from chassis.times import to_proto
from chassis.work import Work
from google.protobuf.message import Message
from member.__main__ import PROCESS
from member.wire import FACTS
from sqlalchemy.ext.asyncio import create_async_engine
from touchstone.member.v1 import member_pb2, points_pb2
from touchstone.member.v1 import points_service_pb2 as pb

from services.member.tests.calls import SCOPES, Stubs, become_member
from services.member.tests.factories import RECORDED_AT, day, earn_request, enrol_request, hold_request, rows, scalar
from services.member.tests.history import Seen, check_history
from services.member.tests.steps import prove

POINTS = ("work.before_commit", "work.after_commit", "relay.before_mark", "work.after_commit")
CUSTOMERS = ("c-1", "c-2", "c-3")
CALLERS = 12
CALLS_EACH = 200


@pytest.fixture
async def member(database: Databases, nats: NatsServer, keys: Keys, tmp_path: Path) -> AsyncIterator[ServiceProcess]:
    """The member service, not started yet."""
    made = ServiceProcess(await database(PROCESS), nats, keys, tmp_path, "member", scopes=SCOPES)
    yield made
    await made.close()


class History:
    """What callers asked, and what they were told: a reply, a refusal, or nothing."""

    def __init__(self) -> None:
        self.replies: dict[str, Message] = {}
        self.refused: dict[str, str] = {}
        self.unknown: list[tuple[str, Any]] = []
        self.seen: list[Seen] = []
        self.holds: list[tuple[str, str]] = []
        self.spends: list[tuple[str, str]] = []

    def note(self, request: Any, reply: Any) -> None:
        """An answer; whatever says where an account stands is kept for the replay."""
        assert self.replies.setdefault(request.request_id, reply) == reply, "a twin got another answer"
        if isinstance(request, pb.HoldPointsRequest):
            self.holds.append((request.customer_id, reply.hold_id))
        if isinstance(request, pb.RedeemPointsRequest):
            self.spends.append((request.customer_id, reply.transaction_id))
        for balance in _balances(reply):
            account = f"points:{balance.member_id}"
            self.seen.append(Seen(account, balance.account_version, balance.balance, balance.held))


def _balances(reply: Any) -> list[member_pb2.PointsBalance]:
    if isinstance(reply, pb.RedeemPointsResponse):
        return [payment.balance for payment in reply.payments]
    if isinstance(reply, pb.ReversePointsResponse):
        return [each.balance for each in reply.reversals]
    if isinstance(reply, pb.TransferPointsResponse):
        return [reply.giver, reply.receiver]
    return [reply.balance]


def _any_call(dice: random.Random, history: History) -> tuple[str, Any]:
    """Any call about points that callers may make, also of what others made."""
    who, points = dice.choice(CUSTOMERS), dice.randint(1, 30)
    asked: dict[str, Any] = {"request_id": new_id(), "customer_id": who, "occurred_at": to_proto(day(2))}
    kind = dice.randrange(8)
    if kind == 0 and history.holds:
        customer_id, hold_id = dice.choice(history.holds)
        return "ConfirmHold", pb.ConfirmHoldRequest(**asked | {"customer_id": customer_id}, hold_id=hold_id)
    if kind == 1 and history.holds:
        customer_id, hold_id = dice.choice(history.holds)
        return "ReleaseHold", pb.ReleaseHoldRequest(**asked | {"customer_id": customer_id}, hold_id=hold_id)
    if kind == 2 and history.spends:
        customer_id, spent = dice.choice(history.spends)
        return "ReversePoints", pb.ReversePointsRequest(
            **asked | {"customer_id": customer_id}, transaction_id=spent, reason="returned", points=dice.choice((0, 1))
        )
    if kind == 3:
        return "TransferPoints", pb.TransferPointsRequest(**asked, to_person_id="p-1", points=points)
    if kind == 4:
        return "HoldPoints", hold_request(points, who)
    if kind == 5:
        gift = points_pb2.POINTS_PURPOSE_GIFT
        return "RedeemPoints", pb.RedeemPointsRequest(**asked, points=points, purpose=gift)
    return "EarnPoints", earn_request(points, who)


async def _call(member: ServiceProcess, history: History, name: str, request: Any) -> None:
    """One call; what became of one that the connection did not bring an answer to is not known."""
    try:
        reply = await Stubs.of(member.open_channel()).method(name)(request, timeout=20.0)
    except grpc.aio.AioRpcError as error:
        if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            history.unknown.append((name, request))
        else:
            history.refused[request.request_id] = error.code().name
        return
    history.note(request, reply)


async def _load(member: ServiceProcess, history: History, seed: int) -> None:
    """Callers who call one after the other until the process is gone."""
    dice = random.Random(seed)
    for _ in range(CALLS_EACH):
        unknown = len(history.unknown)
        await _call(member, history, *_any_call(dice, history))
        if len(history.unknown) > unknown:
            return


async def _begin(member: ServiceProcess, history: History) -> None:
    """Households with points, each a member as a whole and by one person."""
    boss = Stubs.of(member.open_channel())
    for who in CUSTOMERS:
        await become_member(boss, who)
        await boss.memberships.Enrol(enrol_request(who, person_id="p-1"))
        await _call(member, history, "EarnPoints", earn_request(500, who))


async def test_killed_again_and_again_under_a_load_of_points(member: ServiceProcess) -> None:
    history = History()
    for turn, point in enumerate(POINTS):
        await member.start(f"{point}:kill@{30 + 5 * turn}")
        if turn == 0:
            await _begin(member, history)
        callers = [asyncio.create_task(_load(member, history, 100 * turn + n)) for n in range(CALLERS)]
        assert await member.killed() == -9, point
        await asyncio.gather(*callers)
    assert len(history.unknown) >= len(POINTS), "each kill cut somebody off"
    await member.start()
    again, history.unknown = history.unknown, []
    await asyncio.gather(*(_call(member, history, *each) for each in again))
    assert not history.unknown, "asking again tells"
    await member.settle()
    await _books_agree(member, history)


async def _books_agree(member: ServiceProcess, history: History) -> None:
    engine = create_async_engine(async_url(member.database.url))
    try:
        work = Work(engine, FACTS, now=lambda: RECORDED_AT)
        await prove(work)
        assert await check_history(work, history.seen) > len(history.replies)
        claimed = {row[0] for row in await rows(work, "SELECT request_id FROM handled_requests WHERE caller = 'boss'")}
        assert set(history.replies) <= claimed, "what was answered is in the books"
        assert not set(history.refused) & claimed, "what was refused is not"
        assert set(history.refused.values()) <= {"FAILED_PRECONDITION"}, "and was refused for a reason"
        sources = await scalar(work, "SELECT count(*) FROM ledger_transactions WHERE kind NOT LIKE '%expiry'")
        assert sources == len(history.replies), "each answer is one transaction, and there are no others"
        untold = "SELECT count(*) FROM outbox WHERE published_at IS NULL"
        assert await scalar(work, untold) == 0
    finally:
        await engine.dispose()
