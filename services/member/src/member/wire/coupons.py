"""Coupons and codes, who gets them and what they are used for, between protobuf and the domain."""

from collections.abc import Sequence
from datetime import datetime

from chassis import clock, times
from chassis.auth import current_caller
from chassis.errors import InvalidArgument
from chassis.ids import check_id, new_id
from google.protobuf.timestamp_pb2 import Timestamp
from touchstone.member.v1 import coupon_pb2
from touchstone.member.v1 import coupon_service_pb2 as pb

from member.domain.coupon import Coupon, CouponId, CouponState
from member.domain.coupon_code import Code, CodeOrigin, read_code, read_external_code, shown
from member.domain.coupon_template import Terms
from member.domain.customer import CustomerId
from member.store.coupon_codes import Batch
from member.store.coupon_jobs import Item, Job
from member.store.coupon_lists import CouponFilter, StepRecord
from member.use_cases.coupon_codes import MAX_CODES, GenerateCodes, ImportCodes, Imported, Verified, VerifyCode
from member.use_cases.coupon_jobs import MAX_CUSTOMERS, Ran, RunIssues, StartIssue
from member.use_cases.coupon_quotes import Shown
from member.use_cases.coupons import ClaimCode, Ended, ExpireCoupons, IssueCoupon, VoidCoupon
from member.wire.coupon_terms import template_id_from_proto, terms_to_proto
from member.wire.customers import customer_id_from_proto
from member.wire.memberships import holder_from_proto
from member.wire.money import money_to_proto

_STATES = {
    CouponState.UNASSIGNED: coupon_pb2.COUPON_STATE_UNASSIGNED,
    CouponState.OPEN: coupon_pb2.COUPON_STATE_OPEN,
    CouponState.RESERVED: coupon_pb2.COUPON_STATE_RESERVED,
    CouponState.REDEEMED: coupon_pb2.COUPON_STATE_REDEEMED,
    CouponState.EXPIRED: coupon_pb2.COUPON_STATE_EXPIRED,
    CouponState.VOID: coupon_pb2.COUPON_STATE_VOID,
}
_STATES_KNOWN = {number: state for state, number in _STATES.items()}
_ORIGINS = {
    CodeOrigin.OURS: coupon_pb2.COUPON_CODE_ORIGIN_OURS,
    CodeOrigin.EXTERNAL: coupon_pb2.COUPON_CODE_ORIGIN_EXTERNAL,
}


def guesser() -> str:
    """Who is held back for guessing codes: the caller, and the member where the token is a member's."""
    caller = current_caller()
    return f"{caller.subject} {caller.customer_id or ''}"


def instant_or_now(instant: Timestamp, field: str) -> datetime:
    """The instant named, now where none is, or InvalidArgument."""
    return times.from_proto_or(instant, field, clock.now())


def issue_from_proto(request: pb.IssueCouponRequest) -> IssueCoupon:
    """The coupon to issue, or InvalidArgument."""
    return IssueCoupon(
        CouponId(new_id()),
        template_id_from_proto(request.template_id),
        holder_from_proto(request),
        times.from_proto(request.occurred_at, "occurred_at"),
        reason=request.reason,
        actor=current_caller().subject,
    )


def claim_from_proto(request: pb.ClaimCodeRequest) -> ClaimCode:
    """The code to claim, or InvalidArgument; one that is mistyped is found out here."""
    return ClaimCode(
        guesser(),
        read_code("code", request.code),
        holder_from_proto(request),
        times.from_proto(request.occurred_at, "occurred_at"),
    )


def void_from_proto(request: pb.VoidCouponRequest) -> VoidCoupon:
    """The coupon to withdraw, or InvalidArgument."""
    return VoidCoupon(
        coupon_id_from_proto("coupon_id", request.coupon_id),
        times.from_proto(request.occurred_at, "occurred_at"),
        reason=request.reason,
        actor=current_caller().subject,
    )


def expire_from_proto(request: pb.ExpireCouponsRequest) -> ExpireCoupons:
    """Until when coupons are to be ended, or InvalidArgument."""
    return ExpireCoupons(times.from_proto(request.as_of, "as_of"))


def ended_to_proto(ended: Ended) -> pb.ExpireCouponsResponse:
    """What ended."""
    return pb.ExpireCouponsResponse(coupons=ended.coupons, expired=ended.expired)


def generate_from_proto(request: pb.GenerateCouponCodesRequest) -> GenerateCodes:
    """The codes to make, or InvalidArgument."""
    return GenerateCodes(
        check_id("batch_id", request.batch_id),
        template_id_from_proto(request.template_id),
        request.count,
        times.from_proto(request.occurred_at, "occurred_at"),
        current_caller().subject,
    )


def import_from_proto(request: pb.ImportCouponCodesRequest) -> ImportCodes:
    """The codes to take in, or InvalidArgument naming the first that is none."""
    codes = [read_external_code(f"codes[{index}]", each) for index, each in enumerate(request.codes[: MAX_CODES + 1])]
    return ImportCodes(
        check_id("batch_id", request.batch_id),
        template_id_from_proto(request.template_id),
        tuple(codes),
        times.from_proto(request.occurred_at, "occurred_at"),
        current_caller().subject,
    )


def generated_to_proto(batch: Batch) -> pb.GenerateCouponCodesResponse:
    """The list made."""
    return pb.GenerateCouponCodesResponse(batch=batch_to_proto(batch))


def imported_to_proto(imported: Imported) -> pb.ImportCouponCodesResponse:
    """The list taken in."""
    return pb.ImportCouponCodesResponse(batch=batch_to_proto(imported.batch), known_codes=imported.known)


def batch_to_proto(batch: Batch) -> coupon_pb2.CouponCodeBatch:
    """A list of codes."""
    return coupon_pb2.CouponCodeBatch(
        batch_id=batch.batch_id,
        template_id=batch.template_id,
        origin=_ORIGINS[batch.origin],
        codes=batch.codes,
        actor=batch.actor,
        occurred_at=times.to_proto(batch.occurred_at),
    )


def start_issue_from_proto(request: pb.StartCouponIssueRequest) -> StartIssue:
    """The job to start, or InvalidArgument."""
    named = request.customer_ids[: MAX_CUSTOMERS + 1]
    customers = tuple(CustomerId(check_id(f"customer_ids[{index}]", each)) for index, each in enumerate(named))
    return StartIssue(
        check_id("job_id", request.job_id),
        template_id_from_proto(request.template_id),
        customers,
        request.reason,
        times.from_proto(request.occurred_at, "occurred_at"),
        current_caller().subject,
    )


def run_issues_from_proto(request: pb.RunCouponIssuesRequest) -> RunIssues:
    """Which jobs to go on with, or InvalidArgument."""
    return RunIssues(times.from_proto(request.as_of, "as_of"))


def ran_to_proto(ran: Ran) -> pb.RunCouponIssuesResponse:
    """What a round did."""
    return pb.RunCouponIssuesResponse(customers=ran.customers, issued=ran.issued)


def job_to_proto(job: Job) -> coupon_pb2.CouponIssueJob:
    """An issue job."""
    return coupon_pb2.CouponIssueJob(**job._asdict() | {"occurred_at": times.to_proto(job.occurred_at)})


def started_to_proto(job: Job) -> pb.StartCouponIssueResponse:
    """The job started."""
    return pb.StartCouponIssueResponse(job=job_to_proto(job))


def item_to_proto(item: Item) -> coupon_pb2.CouponIssueItem:
    """One customer of an issue job."""
    return coupon_pb2.CouponIssueItem(**item._asdict())


def verify_from_proto(request: pb.VerifyCodeRequest) -> VerifyCode:
    """The code asked about, or InvalidArgument; one that is mistyped is found out here."""
    channel = check_id("channel", request.channel) if request.channel else ""
    at = instant_or_now(request.occurred_at, "occurred_at")
    return VerifyCode(guesser(), read_code("code", request.code), channel, at)


def verified_to_proto(verified: Verified) -> pb.VerifyCodeResponse:
    """What a code is good for, without whose it is."""
    coupon = verified.coupon
    return pb.VerifyCodeResponse(
        usable=not verified.words,
        state=_STATES[coupon.state],
        template_id=coupon.template_id,
        terms=terms_to_proto(verified.terms),
        valid_from=times.to_proto(coupon.valid_from),
        valid_to=times.to_proto(coupon.valid_to) if coupon.valid_to else None,
        words=verified.words,
    )


def filter_from_proto(request: pb.ListCouponsRequest) -> CouponFilter:
    """Which coupons are asked for, or InvalidArgument."""
    unknown = [index for index, state in enumerate(request.states) if state not in _STATES_KNOWN]
    if unknown:
        raise InvalidArgument(f"states[{unknown[0]}]", "is unknown")
    until = times.from_proto(request.valid_until, "valid_until") if request.HasField("valid_until") else None
    return CouponFilter(
        customer_id_from_proto(request.customer_id),
        [_STATES_KNOWN[state] for state in request.states] or list(CouponState),
        instant_or_now(request.as_of, "as_of"),
        template_id=template_id_from_proto(request.template_id) if request.template_id else None,
        until=until,
    )


def batch_id_from_proto(batch_id: str) -> str:
    """The id of a list of codes, or InvalidArgument naming batch_id."""
    return check_id("batch_id", batch_id)


def job_id_from_proto(job_id: str) -> str:
    """The id of an issue job, or InvalidArgument naming job_id."""
    return check_id("job_id", job_id)


def coupon_id_from_proto(field: str, coupon_id: str) -> CouponId:
    """A coupon's id, or InvalidArgument naming the field."""
    return CouponId(check_id(field, coupon_id))


def codes_from_proto(codes: Sequence[str]) -> tuple[Code, ...]:
    """Codes as typed, or InvalidArgument naming the first that is none."""
    return tuple(read_code(f"codes[{index}]", each) for index, each in enumerate(codes[:100]))


def issued_to_proto(coupon: Coupon) -> pb.IssueCouponResponse:
    """The coupon issued."""
    return pb.IssueCouponResponse(coupon=coupon_to_proto(coupon))


def claimed_to_proto(coupon: Coupon) -> pb.ClaimCodeResponse:
    """The coupon claimed."""
    return pb.ClaimCodeResponse(coupon=coupon_to_proto(coupon))


def voided_to_proto(coupon: Coupon) -> pb.VoidCouponResponse:
    """The coupon withdrawn."""
    return pb.VoidCouponResponse(coupon=coupon_to_proto(coupon))


def shown_to_proto(shown: Shown) -> coupon_pb2.Coupon:
    """A coupon with its terms."""
    return coupon_to_proto(shown.coupon, shown.terms)


def coupon_to_proto(coupon: Coupon, terms: Terms | None = None) -> coupon_pb2.Coupon:
    """A coupon."""
    holder, use = coupon.holder, coupon.use
    return coupon_pb2.Coupon(
        coupon_id=coupon.coupon_id,
        template_id=coupon.template_id,
        template_version=coupon.version,
        code=shown(coupon.code),
        customer_id=holder.customer_id if holder else "",
        person_id=holder.person_id if holder else "",
        program_id=holder.program_id if holder else "",
        state=_STATES[coupon.state],
        issued_at=times.to_proto(coupon.issued_at),
        valid_from=times.to_proto(coupon.valid_from),
        valid_to=times.to_proto(coupon.valid_to) if coupon.valid_to else None,
        order_id=use.order_id if use else "",
        reserved_until=times.to_proto(use.ends_at) if use and use.ends_at else None,
        discount=money_to_proto(use.discount) if use else None,
        reason=coupon.reason,
        batch_id=coupon.batch_id,
        revision=coupon.revision,
        terms=terms_to_proto(terms) if terms else None,
    )


def step_to_proto(step: StepRecord) -> coupon_pb2.CouponStep:
    """What happened to a coupon."""
    return coupon_pb2.CouponStep(
        revision=step.revision,
        act=step.act.value,
        order_id=step.order_id,
        discount_minor_units=step.discount_minor,
        reason=step.by.reason,
        actor=step.by.actor,
        occurred_at=times.to_proto(step.occurred_at),
        recorded_at=times.to_proto(step.recorded_at),
    )
