"""Use cases as `Work` calls them: commands in, replies or refusals out."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from chassis.errors import Refusal
from chassis.work import ActMany, Transaction
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
