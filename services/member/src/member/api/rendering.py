"""Use cases as `Work` runs them: the domain's outcome becomes the reply inside the transaction, refusals stay."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from chassis.errors import Refusal
from chassis.work import Act, ActMany, Transaction
from google.protobuf.message import Message

C = TypeVar("C")
O = TypeVar("O")  # noqa: E741 - outcome
M = TypeVar("M", bound=Message)


def one(use_case: Callable[[Transaction, C], Awaitable[O]], render: Callable[[O], M]) -> Act[C, M]:
    """A use case of one command, with its reply rendered."""

    async def act(transaction: Transaction, command: C) -> M:
        return render(await use_case(transaction, command))

    return act


def many(
    use_case: Callable[[Transaction, Sequence[C]], Awaitable[Sequence[O | Refusal]]], render: Callable[[O], M]
) -> ActMany[C, M]:
    """A use case of many commands, with the reply of each rendered."""

    async def act(transaction: Transaction, commands: Sequence[C]) -> list[M | Refusal]:
        outcomes = await use_case(transaction, commands)
        return [outcome if isinstance(outcome, Refusal) else render(outcome) for outcome in outcomes]

    return act
