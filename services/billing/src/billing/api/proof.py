"""ProofService: the books proven from outside."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

import grpc
from chassis.calendar import Calendar
from chassis.ids import new_id
from chassis.paging import page_from_request
from chassis.rounds import answer_in_rounds
from chassis.times import from_proto
from chassis.work import Transaction, Work, ask
from touchstone.billing.v1 import proof_service_pb2 as pb
from touchstone.billing.v1.proof_service_pb2_grpc import ProofServiceServicer

from billing.domain.reconcile import ImportRecords
from billing.domain.snapshot import ExportFile, ExportUnavailable, day_from_text
from billing.use_cases.export import check_closed, exported, exports_page, keep_export, write_day
from billing.use_cases.reconcile import (
    ResolveDifference,
    differences_page,
    import_records,
    reconcile_day,
    resolve_difference,
)
from billing.use_cases.snapshot import close_days, days_to_close, snapshot_key, snapshots_page
from billing.wire import proof as wire
from billing.wire.value import number_after

Context = grpc.aio.ServicerContext[Any, Any]


class ProofApi(ProofServiceServicer):
    """Days are closed in rounds; an export is written between two transactions, and noted by the second."""

    def __init__(self, work: Work, calendar: Calendar, export_folder: Path | None) -> None:
        self._work = work
        self._calendar = calendar
        self._folder = export_folder

    async def TakeSnapshot(self, request: pb.TakeSnapshotRequest, context: Context) -> pb.TakeSnapshotResponse:
        async def act(transaction: Transaction, as_of: datetime) -> pb.TakeSnapshotResponse:
            done = await close_days(transaction, as_of, self._calendar)
            return pb.TakeSnapshotResponse(snapshots=map(wire.snapshot_to_proto, done.snapshots))

        as_of, taken = from_proto(request.as_of, "as_of"), pb.TakeSnapshotResponse()
        asked = ask(request, as_of)
        async for done in answer_in_rounds(
            self._work, "take_snapshot", asked=asked, act=act, reply_type=pb.TakeSnapshotResponse
        ):
            taken.snapshots.extend(done.snapshots)
            async with self._work.reading() as connection:
                if not await days_to_close(connection, as_of, self._calendar):
                    break
        return taken

    async def ListSnapshots(self, request: pb.ListSnapshotsRequest, context: Context) -> pb.ListSnapshotsResponse:
        page, currency = page_from_request(request), wire.currency_asked_from_proto(request.currency)
        async with self._work.reading() as connection:
            found = await snapshots_page(connection, currency, page)
        shown, token = page.cut(found, snapshot_key)
        return pb.ListSnapshotsResponse(snapshots=map(wire.snapshot_to_proto, shown), next_page_token=token)

    async def ExportDay(self, request: pb.ExportDayRequest, context: Context) -> pb.ExportDayResponse:
        async def act(transaction: Transaction, day: date) -> pb.ExportDayResponse:
            return pb.ExportDayResponse(export=wire.export_to_proto(await keep_export(transaction, day, files)))

        asked = ask(request, day_from_text("day", request.day))
        files = await self._write(asked.command)
        return await self._work.answer("export_day", asked, act, pb.ExportDayResponse)

    async def ListExports(self, request: pb.ListExportsRequest, context: Context) -> pb.ListExportsResponse:
        page = page_from_request(request)
        async with self._work.reading() as connection:
            found = await exports_page(connection, page)
        shown, token = page.cut(found, lambda one: one.day.isoformat())
        return pb.ListExportsResponse(exports=map(wire.export_to_proto, shown), next_page_token=token)

    async def ImportProviderRecords(
        self, request: pb.ImportProviderRecordsRequest, context: Context
    ) -> pb.ImportProviderRecordsResponse:
        wanted = ask(request, wire.import_from_proto(request))
        return await self._work.answer("import_provider_records", wanted, _import, pb.ImportProviderRecordsResponse)

    async def Reconcile(self, request: pb.ReconcileRequest, context: Context) -> pb.ReconcileResponse:
        wanted = ask(request, day_from_text("day", request.day))
        return await self._work.answer("reconcile", wanted, _reconcile, pb.ReconcileResponse)

    async def ListDifferences(self, request: pb.ListDifferencesRequest, context: Context) -> pb.ListDifferencesResponse:
        page, day = page_from_request(request), day_from_text("day", request.day) if request.day else None
        before, resolved = number_after(page), request.include_resolved
        async with self._work.reading() as connection:
            found = await differences_page(connection, day, resolved=resolved, before=before, limit=page.wanted)
        shown, token = page.cut(found, lambda one: str(one[0]))
        return pb.ListDifferencesResponse(
            differences=[wire.difference_to_proto(each) for _, each in shown], next_page_token=token
        )

    async def ResolveDifference(
        self, request: pb.ResolveDifferenceRequest, context: Context
    ) -> pb.ResolveDifferenceResponse:
        wanted = ask(request, wire.resolve_from_proto(request))
        return await self._work.answer("resolve_difference", wanted, _resolve, pb.ResolveDifferenceResponse)

    async def _write(self, day: date) -> tuple[ExportFile, ...]:
        """The files of a day, which are written once. Refuses DayNotClosed, and ExportUnavailable without a folder."""
        async with self._work.reading() as connection:
            found = await exported(connection, day)
            if found is not None:
                return found.files
            await check_closed(connection, day)
            if self._folder is None:
                raise ExportUnavailable("no folder for exports is configured")
            from billing.exporting import ParquetDay  # here, so that only who exports loads the library of Parquet

            async with ParquetDay(self._folder, day, new_id()) as writer:
                return await write_day(connection, day, writer)


async def _import(transaction: Transaction, wanted: ImportRecords) -> pb.ImportProviderRecordsResponse:
    return pb.ImportProviderRecordsResponse(added=await import_records(transaction, wanted))


async def _reconcile(transaction: Transaction, day: date) -> pb.ReconcileResponse:
    done = await reconcile_day(transaction, day)
    return pb.ReconcileResponse(compared=done.compared, differences=done.differences)


async def _resolve(transaction: Transaction, wanted: ResolveDifference) -> pb.ResolveDifferenceResponse:
    return pb.ResolveDifferenceResponse(
        difference=wire.difference_to_proto(await resolve_difference(transaction, wanted))
    )
