"""TaskService: tasks, sign-ins, what members did of tasks, and their streaks."""

from functools import partial
from typing import Any

from chassis import clock
from chassis.calendar import Calendar
from chassis.gathering import Gatherer
from chassis.paging import page_from_request
from chassis.rpc.errors import item_result
from chassis.work import Work, ask
from grpc.aio import ServicerContext
from touchstone.member.v1 import task_service_pb2 as pb
from touchstone.member.v1 import task_service_pb2_grpc as pb_grpc

from member.api.rendering import many, one
from member.domain.task import Task
from member.use_cases import progress
from member.use_cases import tasks as use_cases
from member.wire import tasks as wire
from member.wire.memberships import holder_from_proto, program_id_from_proto


class TaskApi(pb_grpc.TaskServiceServicer):
    """The calls of TaskService."""

    def __init__(self, work: Work, calendar: Calendar) -> None:
        self._work = work
        self._calendar = calendar
        sign_in = many(
            partial(progress.sign_in, calendar=calendar), partial(wire.signed_in_to_proto, calendar=calendar)
        )
        record = many(
            partial(progress.record_progress, calendar=calendar), partial(wire.recorded_to_proto, calendar=calendar)
        )
        self._signing_in = Gatherer(work, "sign_in", sign_in, pb.SignInResponse)
        self._recording = Gatherer(work, "record_progress", record, pb.RecordProgressResponse)

    async def PutTask(self, request: pb.PutTaskRequest, context: ServicerContext[Any, Any]) -> pb.PutTaskResponse:
        def render(task: Task) -> pb.PutTaskResponse:
            return pb.PutTaskResponse(task=wire.task_to_proto(task))

        asked = ask(request, wire.put_task_from_proto(request))
        return await self._work.answer("put_task", asked, one(use_cases.put_task, render), pb.PutTaskResponse)

    async def GetTask(self, request: pb.GetTaskRequest, context: ServicerContext[Any, Any]) -> pb.GetTaskResponse:
        task_id, version = wire.task_id_from_proto(request.task_id), wire.version_from_proto(request)
        async with self._work.reading() as connection:
            return wire.version_to_proto(*await use_cases.get_task(connection, task_id, version))

    async def ListTasks(self, request: pb.ListTasksRequest, context: ServicerContext[Any, Any]) -> pb.ListTasksResponse:
        page = page_from_request(request)
        program_id = program_id_from_proto(request.program_id) if request.program_id else None
        active_at = wire.active_at_from_proto(request)
        async with self._work.reading() as connection:
            found = await use_cases.list_tasks(connection, program_id, active_at=active_at, page=page)
        shown, token = page.cut(found, lambda task: task.task_id)
        return pb.ListTasksResponse(tasks=[wire.task_to_proto(task) for task in shown], next_page_token=token)

    async def SignIn(self, request: pb.SignInRequest, context: ServicerContext[Any, Any]) -> pb.SignInResponse:
        return await self._signing_in.answer(ask(request, wire.sign_in_from_proto(request)))

    async def RecordProgress(
        self, request: pb.RecordProgressRequest, context: ServicerContext[Any, Any]
    ) -> pb.RecordProgressResponse:
        return await self._recording.answer(ask(request, wire.progress_from_proto(request)))

    async def BatchRecordProgress(
        self, request: pb.BatchRecordProgressRequest, context: ServicerContext[Any, Any]
    ) -> pb.BatchRecordProgressResponse:
        results = await self._recording.answer_batch(
            request.requests, read=wire.progress_from_proto, result=item_result(pb.RecordProgressResult)
        )
        return pb.BatchRecordProgressResponse(results=results)

    async def GetTasks(self, request: pb.GetTasksRequest, context: ServicerContext[Any, Any]) -> pb.GetTasksResponse:
        holder = holder_from_proto(request)
        as_of = wire.as_of_from_proto(request, clock.now())
        async with self._work.reading() as connection:
            found = await use_cases.get_tasks(connection, holder, as_of=as_of, calendar=self._calendar)
        return pb.GetTasksResponse(tasks=[wire.standing_to_proto(each, self._calendar) for each in found])

    async def ListTaskRecords(
        self, request: pb.ListTaskRecordsRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListTaskRecordsResponse:
        holder, page = holder_from_proto(request), page_from_request(request)
        task_id = wire.task_id_from_proto(request.task_id) if request.task_id else None
        async with self._work.reading() as connection:
            found = await use_cases.list_records(connection, holder, task_id, page)
        shown, token = page.cut(found, lambda one: str(one.sequence))
        return pb.ListTaskRecordsResponse(records=[wire.record_to_proto(each) for each in shown], next_page_token=token)
