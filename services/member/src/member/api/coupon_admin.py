"""The calls of CouponService that operators make: templates, lists of codes, issue jobs, withdrawals."""

from functools import partial
from typing import Any

from chassis.calendar import Calendar
from chassis.gathering import Gatherer
from chassis.paging import page_from_request
from chassis.rounds import answer_in_rounds
from chassis.rpc.errors import item_result
from chassis.work import Work, ask
from grpc.aio import ServicerContext
from touchstone.member.v1 import coupon_service_pb2 as pb

from member.api.rendering import many, one
from member.domain.coupon_template import TemplateVersion
from member.use_cases import coupon_codes, coupon_jobs, coupons
from member.use_cases import coupon_templates as templates
from member.wire import coupon_terms as terms_wire
from member.wire import coupons as wire


def _put(shown: TemplateVersion) -> pb.PutCouponTemplateResponse:
    return pb.PutCouponTemplateResponse(template=terms_wire.template_to_proto(shown))


def _activated(shown: TemplateVersion) -> pb.ActivateCouponTemplateResponse:
    return pb.ActivateCouponTemplateResponse(template=terms_wire.template_to_proto(shown))


def _ended(shown: TemplateVersion) -> pb.EndCouponTemplateResponse:
    return pb.EndCouponTemplateResponse(template=terms_wire.template_to_proto(shown))


class CouponAdminApi:
    """What operators do about coupons."""

    def __init__(self, work: Work, calendar: Calendar) -> None:
        self._work = work
        self._calendar = calendar
        void = many(partial(coupons.void_coupons, calendar=calendar), wire.voided_to_proto)
        self._voiding = Gatherer(work, "void_coupons", void, pb.VoidCouponResponse)
        self._generate = one(partial(coupon_codes.generate_codes, calendar=calendar), wire.generated_to_proto)
        self._import = one(partial(coupon_codes.import_codes, calendar=calendar), wire.imported_to_proto)
        self._run = one(partial(coupon_jobs.run_issues, calendar=calendar), wire.ran_to_proto)

    async def PutCouponTemplate(
        self, request: pb.PutCouponTemplateRequest, context: ServicerContext[Any, Any]
    ) -> pb.PutCouponTemplateResponse:
        asked = ask(request, terms_wire.put_template_from_proto(request))
        act = one(templates.put_template, _put)
        return await self._work.answer("put_coupon_template", asked, act, pb.PutCouponTemplateResponse)

    async def ActivateCouponTemplate(
        self, request: pb.ActivateCouponTemplateRequest, context: ServicerContext[Any, Any]
    ) -> pb.ActivateCouponTemplateResponse:
        asked = ask(request, terms_wire.activate_from_proto(request))
        act = one(templates.activate_template, _activated)
        return await self._work.answer("activate_coupon_template", asked, act, pb.ActivateCouponTemplateResponse)

    async def EndCouponTemplate(
        self, request: pb.EndCouponTemplateRequest, context: ServicerContext[Any, Any]
    ) -> pb.EndCouponTemplateResponse:
        asked = ask(request, terms_wire.end_from_proto(request))
        act = one(templates.end_template, _ended)
        return await self._work.answer("end_coupon_template", asked, act, pb.EndCouponTemplateResponse)

    async def GetCouponTemplate(
        self, request: pb.GetCouponTemplateRequest, context: ServicerContext[Any, Any]
    ) -> pb.GetCouponTemplateResponse:
        template_id, version = terms_wire.version_from_proto(request)
        async with self._work.reading() as connection:
            shown = await templates.get_template(connection, template_id, version)
        return pb.GetCouponTemplateResponse(template=terms_wire.template_to_proto(shown))

    async def ListCouponTemplates(
        self, request: pb.ListCouponTemplatesRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListCouponTemplatesResponse:
        state, page = terms_wire.template_state_from_proto(request.state), page_from_request(request)
        async with self._work.reading() as connection:
            found = await templates.list_templates(connection, state, page)
        shown, token = page.cut(found, lambda each: each.template.template_id)
        return pb.ListCouponTemplatesResponse(
            templates=[terms_wire.template_to_proto(each) for each in shown], next_page_token=token
        )

    async def GetCouponFigures(
        self, request: pb.GetCouponFiguresRequest, context: ServicerContext[Any, Any]
    ) -> pb.GetCouponFiguresResponse:
        template_id = terms_wire.template_id_from_proto(request.template_id)
        as_of = wire.instant_or_now(request.as_of, "as_of")
        async with self._work.reading() as connection:
            figures = await templates.get_figures(connection, template_id, as_of)
        return terms_wire.figures_to_proto(figures)

    async def ListCouponAudit(
        self, request: pb.ListCouponAuditRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListCouponAuditResponse:
        template_id, page = terms_wire.template_id_from_proto(request.template_id), page_from_request(request)
        async with self._work.reading() as connection:
            found = await templates.list_audit(connection, template_id, page)
        shown, token = page.cut(found, lambda each: str(each.number))
        return pb.ListCouponAuditResponse(
            entries=[terms_wire.audit_to_proto(each) for each in shown], next_page_token=token
        )

    async def GenerateCouponCodes(
        self, request: pb.GenerateCouponCodesRequest, context: ServicerContext[Any, Any]
    ) -> pb.GenerateCouponCodesResponse:
        asked = ask(request, wire.generate_from_proto(request))
        return await self._work.answer("generate_coupon_codes", asked, self._generate, pb.GenerateCouponCodesResponse)

    async def ImportCouponCodes(
        self, request: pb.ImportCouponCodesRequest, context: ServicerContext[Any, Any]
    ) -> pb.ImportCouponCodesResponse:
        asked = ask(request, wire.import_from_proto(request))
        return await self._work.answer("import_coupon_codes", asked, self._import, pb.ImportCouponCodesResponse)

    async def ListCouponCodes(
        self, request: pb.ListCouponCodesRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListCouponCodesResponse:
        batch_id, page = wire.batch_id_from_proto(request.batch_id), page_from_request(request)
        async with self._work.reading() as connection:
            found = await coupon_codes.list_codes(connection, batch_id, page)
        shown, token = page.cut(found, lambda each: each.coupon_id)
        return pb.ListCouponCodesResponse(coupons=[wire.coupon_to_proto(each) for each in shown], next_page_token=token)

    async def StartCouponIssue(
        self, request: pb.StartCouponIssueRequest, context: ServicerContext[Any, Any]
    ) -> pb.StartCouponIssueResponse:
        asked = ask(request, wire.start_issue_from_proto(request))
        act = one(coupon_jobs.start_issue, wire.started_to_proto)
        return await self._work.answer("start_coupon_issue", asked, act, pb.StartCouponIssueResponse)

    async def GetCouponIssue(
        self, request: pb.GetCouponIssueRequest, context: ServicerContext[Any, Any]
    ) -> pb.GetCouponIssueResponse:
        job_id = wire.job_id_from_proto(request.job_id)
        async with self._work.reading() as connection:
            return pb.GetCouponIssueResponse(job=wire.job_to_proto(await coupon_jobs.get_job(connection, job_id)))

    async def ListCouponIssueItems(
        self, request: pb.ListCouponIssueItemsRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListCouponIssueItemsResponse:
        job_id, page = wire.job_id_from_proto(request.job_id), page_from_request(request)
        async with self._work.reading() as connection:
            found = await coupon_jobs.list_items(connection, job_id, page, refused=request.refused)
        shown, token = page.cut(found, lambda each: str(each.position))
        return pb.ListCouponIssueItemsResponse(
            items=[wire.item_to_proto(each) for each in shown], next_page_token=token
        )

    async def RunCouponIssues(
        self, request: pb.RunCouponIssuesRequest, context: ServicerContext[Any, Any]
    ) -> pb.RunCouponIssuesResponse:
        asked = ask(request, wire.run_issues_from_proto(request))
        total = pb.RunCouponIssuesResponse()
        async for done in answer_in_rounds(
            self._work, "run_coupon_issues", asked=asked, act=self._run, reply_type=pb.RunCouponIssuesResponse
        ):
            if done.customers == 0:
                break
            total.customers += done.customers
            total.issued += done.issued
        return total

    async def VoidCoupon(
        self, request: pb.VoidCouponRequest, context: ServicerContext[Any, Any]
    ) -> pb.VoidCouponResponse:
        return await self._voiding.answer(ask(request, wire.void_from_proto(request)))

    async def BatchVoidCoupons(
        self, request: pb.BatchVoidCouponsRequest, context: ServicerContext[Any, Any]
    ) -> pb.BatchVoidCouponsResponse:
        results = await self._voiding.answer_batch(
            request.requests, read=wire.void_from_proto, result=item_result(pb.VoidCouponResult)
        )
        return pb.BatchVoidCouponsResponse(results=results)
