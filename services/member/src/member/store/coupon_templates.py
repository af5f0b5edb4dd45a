"""Coupon templates and their versions, and the trail of who changed them."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as insert_or_update
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.coupon_template import Template, TemplateId, TemplateState, TemplateVersion, Terms
from member.store.coupon_books import find_terms, template_from_row
from member.store.coupon_tables import coupon_audit, coupon_template_versions, coupon_templates
from member.store.coupon_terms import limits_to_document, terms_to_document

# What is there already, counted when a limit comes to be.
_COUNT = text("""
    SELECT count(*) AS issued, count(order_id) AS used FROM coupons WHERE template_id = :template_id
""")


class AuditEntry(NamedTuple):
    """What somebody did to a template."""

    template_id: TemplateId
    act: str
    version: int
    actor: str
    reason: str
    recorded_at: datetime
    number: int = 0


async def lock_template_for_update(connection: AsyncConnection, template_id: TemplateId) -> Template | None:
    """The template, locked against every use of it, or None."""
    asked = select(coupon_templates).where(coupon_templates.c.template_id == template_id).with_for_update()
    row = (await connection.execute(asked)).one_or_none()
    return template_from_row(row) if row else None


async def find_template(connection: AsyncConnection, template_id: TemplateId) -> Template | None:
    """The template, or None."""
    asked = select(coupon_templates).where(coupon_templates.c.template_id == template_id)
    row = (await connection.execute(asked)).one_or_none()
    return template_from_row(row) if row else None


async def find_templates(connection: AsyncConnection, ids: Collection[TemplateId]) -> dict[TemplateId, Template]:
    """The templates, as far as they exist."""
    asked = select(coupon_templates).where(coupon_templates.c.template_id.in_(list(ids)))
    return {TemplateId(row.template_id): template_from_row(row) for row in await connection.execute(asked)}


async def list_templates(
    connection: AsyncConnection, *, state: TemplateState | None, after: str, limit: int
) -> list[TemplateVersion]:
    """Templates by their ids behind the one `after`, with the terms of their active versions or first drafts."""
    asked = select(coupon_templates).where(coupon_templates.c.template_id > after)
    if state is not None:
        asked = asked.where(coupon_templates.c.state == state.value)
    found = await connection.execute(asked.order_by(coupon_templates.c.template_id).limit(limit))
    templates = [template_from_row(row) for row in found]
    versions = {each.template_id: each.active_version or each.latest_version for each in templates}
    terms = await find_terms(connection, list(versions.items()))
    return [
        TemplateVersion(each, versions[each.template_id], terms[each.template_id, versions[each.template_id]])
        for each in templates
    ]


async def count_coupons(connection: AsyncConnection, template_id: TemplateId) -> tuple[int, int]:
    """How many coupons of the template there are, and how many of them are reserved or redeemed."""
    row = (await connection.execute(_COUNT, {"template_id": template_id})).one()
    return row.issued, row.used


async def insert_template(connection: AsyncConnection, template: Template) -> bool:
    """Write a new template; False where somebody else was first."""
    put = insert_or_update(coupon_templates).values(
        template_id=template.template_id,
        state=template.state.value,
        active_version=template.active_version,
        latest_version=template.latest_version,
        limits=limits_to_document(template.limits),
        issued_max=template.limits.issued,
        used_max=template.limits.used,
        issued=0,
        used=0,
        revision=template.revision,
    )
    written = await connection.execute(put.on_conflict_do_nothing().returning(coupon_templates.c.template_id))
    return written.one_or_none() is not None


async def save_template(connection: AsyncConnection, template: Template) -> None:
    """Write a template as it stands now."""
    await connection.execute(
        update(coupon_templates)
        .where(coupon_templates.c.template_id == template.template_id)
        .values(
            state=template.state.value,
            active_version=template.active_version,
            latest_version=template.latest_version,
            limits=limits_to_document(template.limits),
            issued_max=template.limits.issued,
            used_max=template.limits.used,
            issued=template.issued,
            used=template.used,
            revision=template.revision,
        )
    )


async def save_draft(
    connection: AsyncConnection, template_id: TemplateId, version: int, terms: Terms, *, recorded_at: datetime
) -> None:
    """Write the terms of a version that is not active yet."""
    document = terms_to_document(terms)
    put = insert_or_update(coupon_template_versions).values(
        template_id=template_id, version=version, terms=document, recorded_at=recorded_at
    )
    keys = [coupon_template_versions.c.template_id, coupon_template_versions.c.version]
    await connection.execute(
        put.on_conflict_do_update(index_elements=keys, set_={"terms": document, "recorded_at": recorded_at})
    )


async def note(connection: AsyncConnection, entry: AuditEntry) -> None:
    """Write down who did what."""
    values = entry._asdict()
    del values["number"]
    await connection.execute(insert(coupon_audit).values(values))


async def list_audit(
    connection: AsyncConnection, template_id: TemplateId, *, before: int | None, limit: int
) -> list[AuditEntry]:
    """What was done to a template, newest first."""
    asked = select(coupon_audit).where(coupon_audit.c.template_id == template_id)
    if before is not None:
        asked = asked.where(coupon_audit.c.number < before)
    found = await connection.execute(asked.order_by(coupon_audit.c.number.desc()).limit(limit))
    return [
        AuditEntry(
            TemplateId(row.template_id), row.act, row.version, row.actor, row.reason, row.recorded_at, row.number
        )
        for row in found
    ]
