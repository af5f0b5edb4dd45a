"""The timed work about bills as calls: thresholds of the day, bills that waited, and overdue steps."""

from datetime import datetime
from typing import Any

import grpc
from chassis.calendar import Calendar
from chassis.work import Transaction, Work, ask
from touchstone.billing.v1 import bill_service_pb2 as pb

from billing.api.rounds import total_of_rounds
from billing.use_cases.day_threshold import refresh_thresholds
from billing.use_cases.due_bills import issue_due_bills
from billing.use_cases.overdue import run_overdue_steps
from billing.wire.standing import as_of_from_proto

Context = grpc.aio.ServicerContext[Any, Any]


class BillRounds:
    """Each call does round after round until nothing is left; a repeat goes on where it was."""

    _work: Work
    _calendar: Calendar

    async def RefreshThresholds(
        self, request: pb.RefreshThresholdsRequest, context: Context
    ) -> pb.RefreshThresholdsResponse:
        async def act(transaction: Transaction, as_of: datetime) -> pb.RefreshThresholdsResponse:
            return pb.RefreshThresholdsResponse(accounts=await refresh_thresholds(transaction, as_of, self._calendar))

        asked = ask(request, as_of_from_proto(request.as_of))
        return await total_of_rounds(
            self._work, "refresh_thresholds", asked=asked, act=act, reply_type=pb.RefreshThresholdsResponse
        )

    async def IssueDueBills(self, request: pb.IssueDueBillsRequest, context: Context) -> pb.IssueDueBillsResponse:
        async def act(transaction: Transaction, as_of: datetime) -> pb.IssueDueBillsResponse:
            done = await issue_due_bills(transaction, as_of, self._calendar)
            return pb.IssueDueBillsResponse(accounts=done.accounts, bills=done.bills)

        asked = ask(request, as_of_from_proto(request.as_of))
        return await total_of_rounds(
            self._work, "issue_due_bills", asked=asked, act=act, reply_type=pb.IssueDueBillsResponse
        )

    async def RunOverdueSteps(self, request: pb.RunOverdueStepsRequest, context: Context) -> pb.RunOverdueStepsResponse:
        async def act(transaction: Transaction, as_of: datetime) -> pb.RunOverdueStepsResponse:
            done = await run_overdue_steps(transaction, as_of, self._calendar)
            return pb.RunOverdueStepsResponse(
                accounts=done.accounts, reminders=done.reminders, suspended=done.suspended
            )

        asked = ask(request, as_of_from_proto(request.as_of))
        return await total_of_rounds(
            self._work, "run_overdue_steps", asked=asked, act=act, reply_type=pb.RunOverdueStepsResponse
        )
