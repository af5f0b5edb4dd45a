"""The expiry of points, which takes as many transactions as there is to book."""

from dataclasses import replace
from datetime import datetime

from chassis.work import Ask, Work
from touchstone.member.v1 import member_service_pb2 as pb

from member.api.rendering import one
from member.use_cases.spending import expire_points
from member.wire.points import expired_to_proto

_ROUND = one(expire_points, expired_to_proto)


async def expire_in_rounds(work: Work, asked: Ask[datetime]) -> pb.ExpirePointsResponse:
    """Books everything that expired, round by round, and sums what the rounds did.

    Each round is a transaction with a claim of its own, made of the request's id and the round's number. So a repeat
    adds up the stored replies of the rounds that are done, and goes on where a crash ended the first call. The last
    round is the first that finds nothing.
    """
    total = pb.ExpirePointsResponse()
    number = 1
    while True:
        this = asked if number == 1 else replace(asked, request_id=f"{asked.request_id}/{number}")
        done = await work.answer("expire_points", this, _ROUND, pb.ExpirePointsResponse)
        if done.accounts == 0:
            return total
        total.accounts += done.accounts
        total.points += done.points
        number += 1
