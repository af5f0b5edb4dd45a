"""Put, activate and end templates of coupons, and read them with their figures and their trail."""

from dataclasses import dataclass, replace
from datetime import datetime

from chassis.errors import InvalidArgument
from chassis.paging import Page
from chassis.work import Transaction

from member.domain.coupon import CouponState
from member.domain.coupon_template import (
    CouponTemplateChanged,
    Limits,
    NothingToActivate,
    StockBelowUse,
    Template,
    TemplateEnded,
    TemplateId,
    TemplateNotFound,
    TemplateState,
    TemplateVersion,
    Terms,
    check_terms,
)
from member.domain.text import check_reason
from member.store import Connection, coupon_books, coupon_lists
from member.store import coupon_templates as store
from member.store.coupon_templates import AuditEntry


@dataclass(frozen=True, slots=True)
class PutTemplate:
    """Put the draft of a template, a new one or the next version of a known one."""

    template_id: TemplateId
    terms: Terms
    actor: str

    def __post_init__(self) -> None:
        check_terms(self.terms)


@dataclass(frozen=True, slots=True)
class ActivateTemplate:
    """Issue the draft from now on."""

    template_id: TemplateId
    actor: str


@dataclass(frozen=True, slots=True)
class EndTemplate:
    """Issue nothing more."""

    template_id: TemplateId
    reason: str
    actor: str

    def __post_init__(self) -> None:
        check_reason("reason", self.reason)


@dataclass(frozen=True, slots=True)
class Figures:
    """Coupons of a template by where they stand, and what was given; amounts in minor units of the currency."""

    by_state: dict[CouponState, int]
    discount_minor: int
    currency: str

    @property
    def issued(self) -> int:
        """Coupons that members got; codes that expired or were withdrawn unclaimed cannot be told apart from these."""
        return sum(self.by_state.values()) - self.by_state.get(CouponState.UNASSIGNED, 0)


async def put_template(transaction: Transaction, command: PutTemplate) -> TemplateVersion:
    """Put a draft; putting what the draft says already changes nothing. TemplateEnded."""
    connection, template_id = transaction.connection, command.template_id
    fresh = Template(template_id, TemplateState.DRAFT, 0, 0, Limits(), revision=0)
    if not await store.insert_template(connection, fresh):
        known = await store.lock_template_for_update(connection, template_id)
        assert known is not None
        fresh = known
    if fresh.state is TemplateState.ENDED:
        raise TemplateEnded(template_id)
    if fresh.latest_version:
        newest = await _version(connection, fresh, fresh.latest_version)
        if newest.terms == command.terms:
            return newest
    drafted = fresh.latest_version > fresh.active_version
    version = fresh.latest_version if drafted else fresh.latest_version + 1
    put = replace(fresh, latest_version=version, revision=fresh.revision + 1)
    await store.save_draft(connection, template_id, version, command.terms, recorded_at=transaction.recorded_at)
    await store.save_template(connection, put)
    await _note(transaction, put, "put", actor=command.actor)
    await _tell(transaction, put)
    return TemplateVersion(put, version, command.terms)


async def activate_template(transaction: Transaction, command: ActivateTemplate) -> TemplateVersion:
    """Issue the draft from now on, by its terms and limits; what was issued keeps the version it was issued under.

    TemplateNotFound, TemplateEnded, NothingToActivate; StockBelowUse where more is issued or in use already than the
    draft allows.
    """
    connection = transaction.connection
    template = await _locked(transaction, command.template_id)
    if template.latest_version == template.active_version:
        raise NothingToActivate(command.template_id)
    draft = await _version(connection, template, template.latest_version)
    limits = draft.terms.limits
    issued, used = await store.count_coupons(connection, command.template_id)
    if (limits.issued and issued > limits.issued) or (limits.used and used > limits.used):
        raise StockBelowUse(command.template_id, issued, used)
    active = replace(
        template,
        state=TemplateState.ACTIVE,
        active_version=draft.version,
        limits=limits,
        issued=issued if limits.issued else 0,
        used=used if limits.used else 0,
        revision=template.revision + 1,
    )
    await store.save_template(connection, active)
    await _note(transaction, active, "activated", actor=command.actor)
    await _tell(transaction, active)
    return TemplateVersion(active, draft.version, draft.terms)


async def end_template(transaction: Transaction, command: EndTemplate) -> TemplateVersion:
    """Issue nothing more of a template; TemplateNotFound, TemplateEnded."""
    template = await _locked(transaction, command.template_id)
    ended = replace(template, state=TemplateState.ENDED, revision=template.revision + 1)
    await store.save_template(transaction.connection, ended)
    await _note(transaction, ended, "ended", actor=command.actor, reason=command.reason)
    await _tell(transaction, ended)
    return await _version(transaction.connection, ended, ended.active_version or ended.latest_version)


async def get_template(connection: Connection, template_id: TemplateId, version: int) -> TemplateVersion:
    """A template with the terms of a version; 0 is the active one, or the draft where none is. TemplateNotFound."""
    template = await store.find_template(connection, template_id)
    if template is None:
        raise TemplateNotFound(template_id)
    return await _version(connection, template, version or template.active_version or template.latest_version)


async def list_templates(connection: Connection, state: TemplateState | None, page: Page) -> list[TemplateVersion]:
    """Templates by their ids, one more than the page holds where there are more."""
    return await store.list_templates(connection, state=state, after=page.after or "", limit=page.wanted)


async def list_audit(connection: Connection, template_id: TemplateId, page: Page) -> list[AuditEntry]:
    """What was done to a template, newest first, one more than the page holds where there is more."""
    if page.after is not None and not (page.after.isascii() and page.after.isdigit() and len(page.after) < 19):
        raise InvalidArgument("page_token", "is not a token that a list call returned")
    if await store.find_template(connection, template_id) is None:
        raise TemplateNotFound(template_id)
    before = None if page.after is None else int(page.after)
    return await store.list_audit(connection, template_id, before=before, limit=page.wanted)


async def get_figures(connection: Connection, template_id: TemplateId, as_of: datetime) -> Figures:
    """Coupons of a template by where they stand at an instant; TemplateNotFound."""
    found = await get_template(connection, template_id, 0)
    counted = await coupon_lists.count_by_state(connection, template_id, as_of)
    _, discount_minor = counted.get(CouponState.REDEEMED, (0, 0))
    return Figures({state: count for state, (count, _) in counted.items()}, discount_minor, found.terms.currency)


async def _locked(transaction: Transaction, template_id: TemplateId) -> Template:
    template = await store.lock_template_for_update(transaction.connection, template_id)
    if template is None:
        raise TemplateNotFound(template_id)
    if template.state is TemplateState.ENDED:
        raise TemplateEnded(template_id)
    return template


async def _version(connection: Connection, template: Template, version: int) -> TemplateVersion:
    terms = await coupon_books.find_terms(connection, [(template.template_id, version)])
    if not terms:
        raise TemplateNotFound(template.template_id)
    return TemplateVersion(template, version, terms[template.template_id, version])


async def _note(transaction: Transaction, template: Template, act: str, *, actor: str, reason: str = "") -> None:
    version = template.latest_version if act == "put" else template.active_version
    entry = AuditEntry(template.template_id, act, version, actor, reason, transaction.recorded_at)
    await store.note(transaction.connection, entry)


async def _tell(transaction: Transaction, template: Template) -> None:
    shown = await _version(transaction.connection, template, template.active_version or template.latest_version)
    transaction.emit(CouponTemplateChanged(template, shown.terms, transaction.recorded_at))
