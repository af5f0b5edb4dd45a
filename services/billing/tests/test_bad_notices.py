"""Bad input of every method of notices and of the proof: each refusal names its field, and nothing is stored."""

from typing import Any

from chassis.testing.calls import methods_of, refuses_bad_input
from chassis.testing.serving import Serving
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from touchstone.billing.v1 import notice_pb2, notice_service_pb2, proof_service_pb2
from touchstone.billing.v1 import notice_service_pb2 as pb
from touchstone.billing.v1 import proof_service_pb2 as proof_pb

from services.billing.tests.calls import AT, Calls, boss, cny, opened, refused
from services.billing.tests.factories import ACCOUNT

SCOPES = ("billing.read", "billing.write", "billing.admin", "billing.jobs")
LARGEST = 2**63 - 1
BAD_IDS = ("", "x" * 65, "a b", "a\x00b", "-a", "中", "a/../b")
BAD_TIMES = (None, Timestamp(seconds=-1), Timestamp(nanos=-1), Timestamp(seconds=253_402_300_799))
BAD_DAYS = (
    "",
    "2026-02-30",
    "2026-2-1",
    "20260201",
    "2026-02-01T00:00:00",
    "0001-01-01",
    "9999-12-31",
    "2026-02-01\x00",
)
BAD_MONTHS = ("2026-13", "2026-00", "2026", "2026-1", "9999-01", "2026-02\x00", "2026-02-01")
BAD_TOKENS = ("?", "AAAA", "MQ", "a" * 800, "MjAyNi0wMy0wMSAx", "MDAwMS0wMS0wMSBDTlk")
UNKNOWN_FORMAT: Any = 77
PDF = notice_pb2.DOCUMENT_FORMAT_PDF


def bad_notices() -> list[tuple[str, Message, list[str]]]:
    """Bad requests about notices and statements."""
    found: list[tuple[str, Message, list[str]]] = []
    makes: tuple[tuple[str, Any, dict[str, Any]], ...] = (
        ("GetPaymentNotice", pb.GetPaymentNoticeRequest, {}),
        ("RenderPaymentNotice", pb.RenderPaymentNoticeRequest, {"format": PDF}),
        ("GetStatement", pb.GetStatementRequest, {"month": "2026-03"}),
        ("RenderStatement", pb.RenderStatementRequest, {"month": "2026-03", "format": PDF}),
    )
    for name, make, rest in makes:
        values = {"account_id": ACCOUNT} | rest
        found += [(name, make(**values | {"account_id": bad}), ["account_id"]) for bad in BAD_IDS]
        found += [(name, make(**values | {"customer_id": bad}), ["customer_id"]) for bad in BAD_IDS if bad]
        if name != "GetStatement":
            found += [(name, make(**values | {"language": bad}), ["language"]) for bad in ("de", "ZH", "zh-CN", "\x00")]
        if "format" in rest:
            found += [(name, make(**values | {"format": bad}), ["format"]) for bad in (0, UNKNOWN_FORMAT)]
        if "month" in rest:
            found += [(name, make(**values | {"month": bad}), ["month"]) for bad in BAD_MONTHS]
    found.append(("RenderStatement", pb.RenderStatementRequest(account_id=ACCOUNT, format=PDF), ["month"]))
    return found + _bad_spans()


def _bad_spans() -> list[tuple[str, Message, list[str]]]:
    later, a_year = Timestamp(seconds=AT.seconds + 1), Timestamp(seconds=AT.seconds + 366 * 86_400 + 1)

    def asked(**changed: Any) -> pb.GetStatementRequest:
        return pb.GetStatementRequest(**{"account_id": ACCOUNT} | changed)

    return [
        *(("GetStatement", asked(start=bad, end=later), ["start"]) for bad in BAD_TIMES),
        *(("GetStatement", asked(start=AT, end=bad), ["end"]) for bad in BAD_TIMES),
        ("GetStatement", asked(start=later, end=AT), ["end"]),
        ("GetStatement", asked(start=AT, end=AT), ["end"]),
        ("GetStatement", asked(start=AT, end=a_year), ["end"]),
        ("GetStatement", asked(month="2026-03", start=AT), ["month"]),
        *(("GetStatement", asked(month="2026-03", page_size=bad), ["page_size"]) for bad in (-1, 501)),
        *(("GetStatement", asked(month="2026-03", page_token=bad), ["page_token"]) for bad in BAD_TOKENS),
    ]


def record(**changed: Any) -> notice_pb2.ProviderRecord:
    """A payment in a provider's file."""
    values: dict[str, Any] = {"provider_reference": "r-1", "amount": cny(1), "kind": "payment", "settled_at": AT}
    return notice_pb2.ProviderRecord(**values | changed)


def records(*found: notice_pb2.ProviderRecord, **changed: Any) -> proof_pb.ImportProviderRecordsRequest:
    """A provider's file."""
    values: dict[str, Any] = {"request_id": "bad", "channel": "sandbox", "day": "2026-03-01", "records": found}
    return proof_pb.ImportProviderRecordsRequest(**values | changed)


def resolved(**changed: Any) -> proof_pb.ResolveDifferenceRequest:
    """Settles a difference."""
    values: dict[str, Any] = {"request_id": "bad", "difference_id": "d", "resolution": "r", "occurred_at": AT}
    return proof_pb.ResolveDifferenceRequest(**values | changed)


def bad_proof() -> list[tuple[str, Message, list[str]]]:
    """Bad requests about the proof."""
    refused_amounts = (cny(0), cny(-1), cny(LARGEST), cny(10**12 + 1))
    return [
        *(("TakeSnapshot", proof_pb.TakeSnapshotRequest(request_id="bad", as_of=bad), ["as_of"]) for bad in BAD_TIMES),
        ("TakeSnapshot", proof_pb.TakeSnapshotRequest(as_of=AT), ["request_id"]),
        ("ListSnapshots", proof_pb.ListSnapshotsRequest(currency="cny"), ["currency"]),
        *(("ListSnapshots", proof_pb.ListSnapshotsRequest(page_token=bad), ["page_token"]) for bad in BAD_TOKENS),
        *(("ExportDay", proof_pb.ExportDayRequest(request_id="bad", day=bad), ["day"]) for bad in BAD_DAYS),
        ("ExportDay", proof_pb.ExportDayRequest(day="2026-03-01"), ["request_id"]),
        ("ListExports", proof_pb.ListExportsRequest(page_size=501), ["page_size"]),
        *(("ListExports", proof_pb.ListExportsRequest(page_token=bad), ["page_token"]) for bad in BAD_TOKENS),
        *(("ImportProviderRecords", records(day=bad), ["day"]) for bad in BAD_DAYS),
        *(("ImportProviderRecords", records(channel=bad), ["channel"]) for bad in ("", "x" * 65, "a\x00b")),
        ("ImportProviderRecords", records(request_id=""), ["request_id"]),
        ("ImportProviderRecords", records(*[record()] * 10_001), ["records"]),
        *(
            ("ImportProviderRecords", records(record(), record(amount=bad)), ["records[1].amount.minor_units"])
            for bad in refused_amounts
        ),
        ("ImportProviderRecords", records(record(amount=None)), ["records[0].amount.currency"]),
        ("ImportProviderRecords", records(record(kind="gift")), ["records[0].kind"]),
        ("ImportProviderRecords", records(record(kind="refund")), ["records[0].amount.minor_units"]),
        *(
            ("ImportProviderRecords", records(record(provider_reference=bad)), ["records[0].provider_reference"])
            for bad in ("", "a\x00b", "x" * 201)
        ),
        *(("ImportProviderRecords", records(record(settled_at=bad)), ["records[0].settled_at"]) for bad in BAD_TIMES),
        *(("Reconcile", proof_pb.ReconcileRequest(request_id="bad", day=bad), ["day"]) for bad in BAD_DAYS),
        *(("ListDifferences", proof_pb.ListDifferencesRequest(day=bad), ["day"]) for bad in BAD_DAYS if bad),
        *(("ListDifferences", proof_pb.ListDifferencesRequest(page_token=bad), ["page_token"]) for bad in ("?", "YQ")),
        *(("ResolveDifference", resolved(difference_id=bad), ["difference_id"]) for bad in BAD_IDS),
        *(("ResolveDifference", resolved(resolution=bad), ["resolution"]) for bad in ("", " ", "a\x00b", "x" * 501)),
        *(("ResolveDifference", resolved(occurred_at=bad), ["occurred_at"]) for bad in BAD_TIMES),
    ]


async def test_bad_input_names_its_field_and_stores_nothing(served: Serving) -> None:
    await boss(served).accounts.OpenAccount(opened(plan_id=""))
    bad = bad_notices() + bad_proof()
    missing: dict[str, Any] = {"account_id": "missing"}
    closed: dict[str, Any] = {"request_id": "bad", "day": "2026-02-01"}
    unknown: list[tuple[str, Message, str]] = [
        ("GetPaymentNotice", pb.GetPaymentNoticeRequest(**missing), "ACCOUNT_NOT_FOUND"),
        ("RenderPaymentNotice", pb.RenderPaymentNoticeRequest(**missing, format=PDF), "ACCOUNT_NOT_FOUND"),
        ("GetStatement", pb.GetStatementRequest(**missing, month="2026-03"), "ACCOUNT_NOT_FOUND"),
        ("RenderStatement", pb.RenderStatementRequest(**missing, month="2026-03", format=PDF), "ACCOUNT_NOT_FOUND"),
        ("ExportDay", proof_pb.ExportDayRequest(**closed), "DAY_NOT_CLOSED"),
        ("Reconcile", proof_pb.ReconcileRequest(**closed), "DAY_NOT_CLOSED"),
        ("ResolveDifference", resolved(difference_id="missing"), "DIFFERENCE_NOT_FOUND"),
    ]
    assert {name for name, _, _ in bad} == methods_of(notice_service_pb2, proof_service_pb2)
    await refuses_bad_input(served, Calls(served, *SCOPES), bad, unknown)


async def test_every_call_needs_its_scope(served: Serving) -> None:
    nobody = Calls(served, "member.read")
    for name in sorted(methods_of(notice_service_pb2, proof_service_pb2)):
        request_type: Any = getattr(pb, f"{name}Request", None) or getattr(proof_pb, f"{name}Request")
        assert (await refused(nobody.method(name), request_type())).reason == "SCOPE_MISSING", name
