"""ActivityService: activities, registrations for them, and who came."""

from functools import partial
from typing import Any

from chassis.calendar import Calendar
from chassis.paging import page_from_request
from chassis.rounds import answer_in_rounds
from chassis.work import Work, ask
from grpc.aio import ServicerContext
from touchstone.member.v1 import activity_service_pb2 as pb
from touchstone.member.v1 import activity_service_pb2_grpc as pb_grpc

from member.api.rendering import one
from member.domain.activity import Activity
from member.domain.roster import Registration
from member.use_cases import activities, registrations, settling
from member.wire import activities as wire
from member.wire.memberships import holder_from_proto, program_id_from_proto

_SETTLE = one(settling.settle_activities, wire.settled_to_proto)


class ActivityApi(pb_grpc.ActivityServiceServicer):
    """The calls of ActivityService."""

    def __init__(self, work: Work, calendar: Calendar) -> None:
        self._work = work
        self._check_in = one(partial(registrations.check_in, calendar=calendar), wire.checked_in_to_proto)

    async def PutActivity(
        self, request: pb.PutActivityRequest, context: ServicerContext[Any, Any]
    ) -> pb.PutActivityResponse:
        def render(activity: Activity) -> pb.PutActivityResponse:
            return pb.PutActivityResponse(activity=wire.activity_to_proto(activity))

        asked = ask(request, wire.put_activity_from_proto(request))
        act = one(activities.put_activity, render)
        return await self._work.answer("put_activity", asked, act, pb.PutActivityResponse)

    async def PublishActivity(
        self, request: pb.PublishActivityRequest, context: ServicerContext[Any, Any]
    ) -> pb.PublishActivityResponse:
        def render(activity: Activity) -> pb.PublishActivityResponse:
            return pb.PublishActivityResponse(activity=wire.activity_to_proto(activity))

        asked = ask(request, wire.change_from_proto(request))
        act = one(activities.publish_activity, render)
        return await self._work.answer("publish_activity", asked, act, pb.PublishActivityResponse)

    async def CancelActivity(
        self, request: pb.CancelActivityRequest, context: ServicerContext[Any, Any]
    ) -> pb.CancelActivityResponse:
        def render(ended: activities.Ended) -> pb.CancelActivityResponse:
            return pb.CancelActivityResponse(activity=wire.activity_to_proto(ended.activity), ended=ended.ended)

        asked = ask(request, wire.change_from_proto(request))
        act = one(activities.cancel_activity, render)
        return await self._work.answer("cancel_activity", asked, act, pb.CancelActivityResponse)

    async def GetActivity(
        self, request: pb.GetActivityRequest, context: ServicerContext[Any, Any]
    ) -> pb.GetActivityResponse:
        activity_id = wire.activity_id_from_proto(request.activity_id)
        async with self._work.reading() as connection:
            activity, waiting = await activities.get_activity(connection, activity_id)
        return pb.GetActivityResponse(activity=wire.activity_to_proto(activity), waiting=waiting)

    async def ListActivities(
        self, request: pb.ListActivitiesRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListActivitiesResponse:
        page = page_from_request(request)
        program_id = program_id_from_proto(request.program_id) if request.program_id else None
        state, starts_after = wire.state_from_proto(request.state), wire.starts_after_from_proto(request)
        async with self._work.reading() as connection:
            found = await activities.list_activities(
                connection, page, program_id=program_id, state=state, starts_after=starts_after
            )
        shown, token = page.cut(found, lambda activity: activity.activity_id)
        return pb.ListActivitiesResponse(
            activities=[wire.activity_to_proto(activity) for activity in shown], next_page_token=token
        )

    async def GetCheckInCode(
        self, request: pb.GetCheckInCodeRequest, context: ServicerContext[Any, Any]
    ) -> pb.GetCheckInCodeResponse:
        activity_id = wire.activity_id_from_proto(request.activity_id)
        async with self._work.reading() as connection:
            return pb.GetCheckInCodeResponse(check_in_code=await activities.get_check_in_code(connection, activity_id))

    async def RegisterForActivity(
        self, request: pb.RegisterForActivityRequest, context: ServicerContext[Any, Any]
    ) -> pb.RegisterForActivityResponse:
        def render(registration: Registration) -> pb.RegisterForActivityResponse:
            return pb.RegisterForActivityResponse(registration=wire.registration_to_proto(registration))

        asked = ask(request, wire.register_from_proto(request))
        act = one(registrations.register_for_activity, render)
        return await self._work.answer("register_for_activity", asked, act, pb.RegisterForActivityResponse)

    async def CancelRegistration(
        self, request: pb.CancelRegistrationRequest, context: ServicerContext[Any, Any]
    ) -> pb.CancelRegistrationResponse:
        def render(left: registrations.Left) -> pb.CancelRegistrationResponse:
            registration = wire.registration_to_proto(left.registration)
            return pb.CancelRegistrationResponse(registration=registration, fee_spent=left.fee_spent)

        asked = ask(request, wire.end_from_proto(request))
        act = one(registrations.cancel_registration, render)
        return await self._work.answer("cancel_registration", asked, act, pb.CancelRegistrationResponse)

    async def CheckIn(self, request: pb.CheckInRequest, context: ServicerContext[Any, Any]) -> pb.CheckInResponse:
        asked = ask(request, wire.end_from_proto(request))
        return await self._work.answer("check_in", asked, self._check_in, pb.CheckInResponse)

    async def ListAttendance(
        self, request: pb.ListAttendanceRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListAttendanceResponse:
        activity_id, page = wire.activity_id_from_proto(request.activity_id), page_from_request(request)
        state = wire.registration_state_from_proto(request.state)
        async with self._work.reading() as connection:
            found = await registrations.list_attendance(connection, activity_id, state=state, page=page)
        shown, token = page.cut(found, lambda one: str(one.sequence))
        return pb.ListAttendanceResponse(
            registrations=[wire.registration_to_proto(each.registration) for each in shown], next_page_token=token
        )

    async def ListRegistrations(
        self, request: pb.ListRegistrationsRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListRegistrationsResponse:
        holder, page = holder_from_proto(request), page_from_request(request)
        async with self._work.reading() as connection:
            found = await registrations.list_registrations(connection, holder, page)
        shown, token = page.cut(found, lambda one: str(one.sequence))
        return pb.ListRegistrationsResponse(
            registrations=[wire.registration_to_proto(each.registration) for each in shown], next_page_token=token
        )

    async def SettleActivities(
        self, request: pb.SettleActivitiesRequest, context: ServicerContext[Any, Any]
    ) -> pb.SettleActivitiesResponse:
        asked = ask(request, wire.as_of_from_proto(request))
        total = pb.SettleActivitiesResponse()
        async for done in answer_in_rounds(
            self._work, "settle_activities", asked=asked, act=_SETTLE, reply_type=pb.SettleActivitiesResponse
        ):
            total.activities += done.activities
            total.seated += done.seated
            total.missed += done.missed
            total.ended += done.ended
            if not done.activities:
                break
        return total
