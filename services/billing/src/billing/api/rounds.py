"""Timed work behind a call of billing: round after round, until one finds nothing to do."""

from typing import TypeVar

from chassis.rounds import answer_in_rounds
from chassis.work import Act, Ask, Work
from google.protobuf.message import Message

C = TypeVar("C")
M = TypeVar("M", bound=Message)


async def total_of_rounds(work: Work, use_case: str, *, asked: Ask[C], act: Act[C, M], reply_type: type[M]) -> M:
    """The sum of the replies, which consist of counts alone. The first round whose counts are all 0 is the last."""
    total = reply_type()
    async for done in answer_in_rounds(work, use_case, asked=asked, act=act, reply_type=reply_type):
        counted = done.ListFields()
        if not counted:
            return total
        for field, count in counted:
            setattr(total, field.name, getattr(total, field.name) + count)
    return total
