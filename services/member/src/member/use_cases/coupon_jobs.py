"""Issue coupons to a list of customers: a job that is done in rounds, each a transaction that goes on where the last
one ended."""

from dataclasses import dataclass
from datetime import datetime

from chassis.calendar import Calendar
from chassis.errors import AlreadyExists, InvalidArgument, NotFound, Refusal
from chassis.ids import named_id
from chassis.paging import Page
from chassis.work import Transaction

from member.domain.coupon import CouponId
from member.domain.coupon_template import TemplateId, TemplateNotFound
from member.domain.customer import CustomerId
from member.domain.membership import Holder
from member.domain.program import GENERAL
from member.domain.text import check_reason
from member.store import Connection, coupon_templates
from member.store import coupon_jobs as store
from member.store.coupon_jobs import Item, Job
from member.store.coupon_templates import AuditEntry
from member.use_cases.coupons import IssueCoupon, issue_coupons

MAX_CUSTOMERS = 20_000
ITEMS_PER_ROUND = 500

_COUPONS = "5b0d1a52-3f3c-4c02-8e4f-1b3d1b8f0a77"


class JobAlreadyStarted(AlreadyExists):
    """An issue job has this id already."""

    def __init__(self, job_id: str) -> None:
        super().__init__("an issue job has this id already", job_id=job_id)


class JobNotFound(NotFound):
    """No issue job has this id."""

    def __init__(self, job_id: str) -> None:
        super().__init__("no issue job has this id", job_id=job_id)


@dataclass(frozen=True, slots=True)
class StartIssue:
    """Issue a coupon to each of these customers."""

    job_id: str
    template_id: TemplateId
    customer_ids: tuple[CustomerId, ...]
    reason: str
    occurred_at: datetime
    actor: str

    def __post_init__(self) -> None:
        check_reason("reason", self.reason)
        if not 1 <= len(self.customer_ids) <= MAX_CUSTOMERS:
            raise InvalidArgument("customer_ids", f"must have 1 to {MAX_CUSTOMERS} items")


@dataclass(frozen=True, slots=True)
class RunIssues:
    """Do one round of what waits, of jobs whose time has come by `as_of`."""

    as_of: datetime
    most: int = ITEMS_PER_ROUND


@dataclass(frozen=True, slots=True)
class Ran:
    """What one round did; no customers means that nothing waits."""

    customers: int
    issued: int


async def start_issue(transaction: Transaction, command: StartIssue) -> Job:
    """Write the job down; JobAlreadyStarted, TemplateNotFound."""
    connection = transaction.connection
    template = await coupon_templates.find_template(connection, command.template_id)
    if template is None:
        raise TemplateNotFound(command.template_id)
    if await store.find_job(connection, command.job_id) is not None:
        raise JobAlreadyStarted(command.job_id)
    job = Job(
        command.job_id,
        command.template_id,
        command.reason,
        command.actor,
        command.occurred_at,
        total=len(command.customer_ids),
    )
    await store.insert_job(connection, job, command.customer_ids, recorded_at=transaction.recorded_at)
    reason = f"{job.job_id}: {job.total}"
    entry = AuditEntry(
        job.template_id, "issue started", template.active_version, job.actor, reason, transaction.recorded_at
    )
    await coupon_templates.note(connection, entry)
    return job


async def run_issues(transaction: Transaction, command: RunIssues, *, calendar: Calendar) -> Ran:
    """Issue to the next customers of a job that waits; a customer who is refused is noted with the reason."""
    connection = transaction.connection
    job = await store.next_job_for_update(connection, command.as_of)
    if job is None:
        return Ran(0, 0)
    waiting = await store.list_items(connection, job.job_id, after=job.done, limit=command.most)
    commands = [_issue(job, item) for item in waiting]
    outcomes = await issue_coupons(transaction, commands, calendar=calendar)
    done = [
        item._replace(refusal=outcome.reason)
        if isinstance(outcome, Refusal)
        else item._replace(coupon_id=outcome.coupon_id)
        for item, outcome in zip(waiting, outcomes, strict=True)
    ]
    await store.save_items(connection, job.job_id, done)
    return Ran(len(done), sum(not item.refusal for item in done))


async def get_job(connection: Connection, job_id: str) -> Job:
    """How far a job is; JobNotFound."""
    job = await store.find_job(connection, job_id)
    if job is None:
        raise JobNotFound(job_id)
    return job


async def list_items(connection: Connection, job_id: str, page: Page, *, refused: bool) -> list[Item]:
    """Customers of a job, one more than the page holds where there are more; JobNotFound."""
    if page.after is not None and not (page.after.isascii() and page.after.isdigit() and len(page.after) < 9):
        raise InvalidArgument("page_token", "is not a token that a list call returned")
    await get_job(connection, job_id)
    return await store.list_items(connection, job_id, after=int(page.after or 0), limit=page.wanted, refused=refused)


def _issue(job: Job, item: Item) -> IssueCoupon:
    return IssueCoupon(
        CouponId(named_id(_COUPONS, f"{job.job_id}\n{item.position}")),
        job.template_id,
        Holder(item.customer_id, GENERAL),
        job.occurred_at,
        reason=job.reason,
        actor=job.actor,
    )
