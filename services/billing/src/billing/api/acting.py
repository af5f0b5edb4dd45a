"""Use cases as `Work` calls them: commands in, replies or refusals out."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from chassis.errors import Refusal
from chassis.work import Act, ActMany, Transaction
from google.protobuf.message import Message

C = TypeVar("C")
D = TypeVar("D")
M = TypeVar("M", bound=Message)


def replying(
    use_case: Callable[[Transaction, Sequence[C]], Awaitable[Sequence[D | Refusal]]], to_proto: Callable[[D], M]
) -> ActMany[C, M]:
    """The use case with its outcomes rendered; refusals pass as they are."""

    async def act(transaction: Transaction, commands: Sequence[C]) -> list[M | Refusal]:
        outcomes = await use_case(transaction, commands)
        return [outcome if isinstance(outcome, Refusal) else to_proto(outcome) for outcome in outcomes]

    return act


def rendered(use_case: Callable[[Transaction, C], Awaitable[D]], to_proto: Callable[[D], M]) -> Act[C, M]:
    """A use case of one command, with what it returns rendered."""

    async def act(transaction: Transaction, command: C) -> M:
        return to_proto(await use_case(transaction, command))

    return act
