"""Snapshots, exports, providers' files and differences on the wire."""

from chassis.errors import InvalidArgument
from chassis.ids import check_id, check_text
from chassis.money import Money, check_currency
from chassis.times import from_proto, to_proto
from touchstone.billing.v1 import notice_pb2
from touchstone.billing.v1 import proof_service_pb2 as pb

from billing.domain.difference import DifferenceId, FoundDifference
from billing.domain.reconcile import RECORDS_MAX, ImportRecords, ProviderRecord, RecordKind
from billing.domain.snapshot import Export, Snapshot, day_from_text
from billing.use_cases.reconcile import ResolveDifference
from billing.wire.notice_facts import DIFFERENCE_KINDS
from billing.wire.value import money_to_proto, text_from_proto

_CHANNEL_LENGTH_MAX = 64
_REFERENCE_LENGTH_MAX = 200


def snapshot_to_proto(snapshot: Snapshot) -> notice_pb2.Snapshot:
    """The books at the end of a day."""
    return notice_pb2.Snapshot(
        day=snapshot.day.isoformat(),
        currency=snapshot.balances.currency,
        accounts=snapshot.accounts,
        balances=money_to_proto(snapshot.balances),
        held=money_to_proto(snapshot.held),
        asked=money_to_proto(snapshot.asked),
        last_bill_number=snapshot.last_bill_number,
        entries=snapshot.entries,
        chain_digest="" if snapshot.chain_digest is None else snapshot.chain_digest.hex(),
        taken_at=to_proto(snapshot.taken_at),
    )


def currency_asked_from_proto(value: str) -> str:
    """The currency asked for; empty for all."""
    return check_currency("currency", value) if value else ""


def export_to_proto(export: Export) -> notice_pb2.Export:
    """The files of a day."""
    return notice_pb2.Export(
        day=export.day.isoformat(),
        files=[notice_pb2.ExportFile(**each._asdict()) for each in export.files],
        finished_at=to_proto(export.finished_at),
    )


def import_from_proto(request: pb.ImportProviderRecordsRequest) -> ImportRecords:
    """A provider's file, or a part of it."""
    if len(request.records) > RECORDS_MAX:
        raise InvalidArgument("records", f"must have at most {RECORDS_MAX} items")
    return ImportRecords(
        channel=check_text("channel", request.channel, length_max=_CHANNEL_LENGTH_MAX, required=True),
        day=day_from_text("day", request.day),
        records=[_record_from_proto(record, f"records[{place}]") for place, record in enumerate(request.records)],
        last=request.last,
    )


def resolve_from_proto(request: pb.ResolveDifferenceRequest) -> ResolveDifference:
    """The wish to settle a difference."""
    return ResolveDifference(
        difference_id=DifferenceId(check_id("difference_id", request.difference_id)),
        resolution=text_from_proto("resolution", request.resolution, required=True),
        occurred_at=from_proto(request.occurred_at, "occurred_at"),
    )


def difference_to_proto(found: FoundDifference) -> notice_pb2.Difference:
    """The difference with how it was settled."""
    difference = found.difference
    return notice_pb2.Difference(
        difference_id=difference.difference_id,
        kind=DIFFERENCE_KINDS[difference.kind],
        reference=difference.reference,
        here=None if difference.here is None else money_to_proto(difference.here),
        there=None if difference.there is None else money_to_proto(difference.there),
        day=difference.day.isoformat(),
        resolution=found.resolution,
        found_at=to_proto(found.found_at),
    )


def _record_from_proto(record: notice_pb2.ProviderRecord, field: str) -> ProviderRecord:
    reference = check_text(
        f"{field}.provider_reference", record.provider_reference, length_max=_REFERENCE_LENGTH_MAX, required=True
    )
    try:
        kind = RecordKind(record.kind)
    except ValueError:
        raise InvalidArgument(f"{field}.kind", "must be payment, refund or chargeback") from None
    amount = Money(record.amount.minor_units, record.amount.currency).checked(f"{field}.amount")
    return ProviderRecord(reference, kind, amount, from_proto(record.settled_at, f"{field}.settled_at"))
