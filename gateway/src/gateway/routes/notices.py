"""Payment notices and statements, as data and as documents; and the proof of the books, for operators."""

from typing import Annotated, Any

from fastapi import Depends, Path, Query, Response
from touchstone.billing.v1 import notice_pb2
from touchstone.billing.v1 import notice_service_pb2 as pb

from gateway.admission import To, admits
from gateway.routing import get, post, router_of, router_under

_ACCOUNT = "/customers/{customer_id}/accounts/{account_id}"
_RENDER_NOTICE = "billing.v1.NoticeService.RenderPaymentNotice"
_RENDER_STATEMENT = "billing.v1.NoticeService.RenderStatement"
_FORMATS = {"html": notice_pb2.DOCUMENT_FORMAT_HTML, "pdf": notice_pb2.DOCUMENT_FORMAT_PDF}
# A page of ours has no script and asks for nothing elsewhere; whatever is in it, the browser need not trust it.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

Language = Annotated[str, Query(max_length=2, description='"zh" or "en"; "zh" when left out.')]
Form = Annotated[str, Path(pattern="^(html|pdf)$")]

# Documents are bytes with a media type, so these two are written by hand; they come before the data of the same paths.
documents = router_under("/v1", "notices", described=False)


def asked(customer_id: str, account_id: str, form: Form, language: Language = "") -> dict[str, Any]:
    """What both documents are asked for by."""
    return {"customer_id": customer_id, "account_id": account_id, "format": _FORMATS[form], "language": language}


Asked = Annotated[dict[str, Any], Depends(asked)]


@documents.get(f"{_ACCOUNT}/notice.{{form}}", dependencies=[admits(_RENDER_NOTICE)])
async def render_payment_notice(asked: Asked, to: To) -> Response:
    """The payment notice as a page to print or a PDF."""
    return _document(await to.call(_RENDER_NOTICE, pb.RenderPaymentNoticeRequest(**asked)))


@documents.get(f"{_ACCOUNT}/statements/{{month}}.{{form}}", dependencies=[admits(_RENDER_STATEMENT)])
async def render_statement(month: str, asked: Asked, to: To) -> Response:
    """The statement of a month as a page to print or a PDF."""
    return _document(await to.call(_RENDER_STATEMENT, pb.RenderStatementRequest(month=month, **asked)))


def _document(reply: Any) -> Response:
    disposition = f'inline; filename="{reply.file_name}"'
    return Response(
        reply.content, media_type=reply.content_type, headers=_HEADERS | {"Content-Disposition": disposition}
    )


router = router_of(
    "notices",
    [
        get(f"{_ACCOUNT}/notice", "billing.v1.NoticeService.GetPaymentNotice", part="notice"),
        get(f"{_ACCOUNT}/statement", "billing.v1.NoticeService.GetStatement", name="get_statement_of_span"),
        get(f"{_ACCOUNT}/statements/{{month}}", "billing.v1.NoticeService.GetStatement"),
        get("/snapshots", "billing.v1.ProofService.ListSnapshots"),
        get("/exports", "billing.v1.ProofService.ListExports"),
        get("/differences", "billing.v1.ProofService.ListDifferences"),
        post("/differences/{difference_id}/resolution", "billing.v1.ProofService.ResolveDifference", part="difference"),
    ],
)
router.routes[:0] = documents.routes
