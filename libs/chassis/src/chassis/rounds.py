"""Timed work of many transactions behind one call."""

from collections.abc import AsyncIterator
from typing import TypeVar

from google.protobuf.message import Message

from chassis.work import Act, Ask, Work

C = TypeVar("C")
M = TypeVar("M", bound=Message)


async def answer_in_rounds(
    work: Work, use_case: str, *, asked: Ask[C], act: Act[C, M], reply_type: type[M]
) -> AsyncIterator[M]:
    """The replies of round after round, for as long as the caller wants more.

    Each round is a transaction with a claim of its own, made of the request's id and the round's number. So a repeat
    of the call gets the stored replies of the rounds that are done, and goes on where a crash ended the first one.
    """
    number = 1
    while True:
        this = asked if number == 1 else asked._replace(request_id=f"{asked.request_id}/{number}")
        yield await work.answer(use_case, this, act, reply_type)
        number += 1
