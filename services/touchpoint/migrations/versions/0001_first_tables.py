"""The first tables, the ready-made touchpoints and the policy that holds until an operator puts another."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op
from chassis.migrations import append_only, create_chassis_tables
from touchpoint.domain.policy import ContactPolicy
from touchpoint.registry import ready_made_touchpoints

revision = "0001"
down_revision = None


def _time(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def upgrade() -> None:
    """Makes everything."""
    create_chassis_tables(op)
    _create_registry()
    _create_opportunities()
    _create_contacts()
    _create_endpoints()
    _create_deliveries()
    append_only(op, "contacts", "outcomes", "delivery_attempts")
    _seed()


def _create_registry() -> None:
    op.create_table(
        "touchpoints",
        sa.Column("code", sa.Text, primary_key=True),
        sa.Column("touchpoint_id", sa.Text, nullable=False, unique=True),
        _text("touchpoint_class"),
        _text("name_en"),
        _text("name_zh"),
        sa.Column("inbound", sa.Boolean, nullable=False),
        sa.Column("outbound", sa.Boolean, nullable=False),
        sa.Column("delivery_ways", sa.ARRAY(sa.Text), nullable=False),
        _text("preferred_way"),
        _time("recorded_at"),
        sa.CheckConstraint("preferred_way = ANY (delivery_ways)", name="touchpoints_preferred_way"),
    )
    op.create_table(
        "contact_policy",
        sa.Column("only", sa.Boolean, primary_key=True, server_default=sa.text("true")),
        sa.Column("contacts_max", sa.Integer, nullable=False),
        sa.Column("window_days", sa.Integer, nullable=False),
        sa.Column("cool_off_days", sa.Integer, nullable=False),
        _time("recorded_at"),
        sa.CheckConstraint('"only"', name="contact_policy_one_row"),
    )


def _create_opportunities() -> None:
    op.create_table("customers", sa.Column("customer_id", sa.Text, primary_key=True))
    op.create_table(
        "opportunities",
        sa.Column("opportunity_id", sa.Text, primary_key=True),
        sa.Column("customer_id", sa.Text, sa.ForeignKey("customers.customer_id"), nullable=False),
        _text("campaign_id"),
        sa.Column("campaign_version", sa.Integer, nullable=False),
        _text("offer_id"),
        _text("offer_title"),
        _text("offer_body"),
        sa.Column("offer_value_minor", sa.BigInteger, nullable=False),
        sa.Column("touchpoints", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        _time("occurred_at"),
        _time("expires_at"),
        sa.Column("state", sa.Text, nullable=False, server_default="open"),
        _time("recorded_at"),
        sa.CheckConstraint("state IN ('open', 'taken', 'expired')", name="opportunities_state"),
        sa.CheckConstraint("cardinality(touchpoints) > 0", name="opportunities_touchpoints"),
        sa.CheckConstraint("expires_at > occurred_at", name="opportunities_expires_at"),
    )
    where = sa.text("state = 'open'")
    op.create_index("opportunities_open_customer", "opportunities", ["customer_id"], postgresql_where=where)
    op.create_index("opportunities_open_expires_at", "opportunities", ["expires_at"], postgresql_where=where)
    op.create_index(
        "opportunities_open_touchpoints",
        "opportunities",
        ["touchpoints"],
        postgresql_using="gin",
        postgresql_where=where,
    )


def _create_contacts() -> None:
    op.create_table(
        "contacts",
        sa.Column("contact_id", sa.Text, primary_key=True),
        sa.Column(
            "opportunity_id", sa.Text, sa.ForeignKey("opportunities.opportunity_id"), nullable=False, unique=True
        ),
        sa.Column("customer_id", sa.Text, sa.ForeignKey("customers.customer_id"), nullable=False),
        _text("campaign_id"),
        sa.Column("touchpoint", sa.Text, sa.ForeignKey("touchpoints.code"), nullable=False),
        _text("delivery_way"),
        _time("occurred_at"),
        _time("recorded_at"),
    )
    op.create_index("contacts_customer", "contacts", ["customer_id", "occurred_at", "contact_id"])
    op.create_index("contacts_occurred_at", "contacts", ["occurred_at", "contact_id"])
    op.create_table(
        "outcomes",
        sa.Column("position", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("contact_id", sa.Text, sa.ForeignKey("contacts.contact_id"), nullable=False),
        _text("outcome"),
        _time("occurred_at"),
        _time("recorded_at"),
        sa.CheckConstraint("outcome IN ('accepted', 'refused', 'ignored', 'complained')", name="outcomes_outcome"),
    )
    newest_first = sa.text("occurred_at DESC"), sa.text("position DESC")
    op.create_index("outcomes_last", "outcomes", ["contact_id", *newest_first])


def _create_endpoints() -> None:
    op.create_table(
        "endpoints",
        sa.Column("endpoint_id", sa.Text, primary_key=True),
        _text("partner_id"),
        _text("url"),
        sa.Column("touchpoints", sa.ARRAY(sa.Text), nullable=False),
        _text("secret"),
        sa.Column("disabled", sa.Boolean, nullable=False, server_default=sa.text("false")),
        _time("recorded_at"),
    )
    op.create_index("endpoints_partner", "endpoints", ["partner_id", "endpoint_id"])


def _create_deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("delivery_id", sa.Text, primary_key=True),
        sa.Column("endpoint_id", sa.Text, sa.ForeignKey("endpoints.endpoint_id"), nullable=False),
        _text("message_type"),
        sa.Column("contact_id", sa.Text, sa.ForeignKey("contacts.contact_id"), nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default="pending"),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("attempts_before", sa.Integer, nullable=False, server_default="0"),
        sa.Column("last_status", sa.SmallInteger, nullable=False, server_default="0"),
        sa.Column("last_error", sa.Text, nullable=False, server_default=""),
        _time("next_attempt_at"),
        _text("lease_owner", nullable=True),
        _time("lease_until", nullable=True),
        _time("occurred_at"),
        _time("recorded_at"),
        _time("delivered_at", nullable=True),
        sa.CheckConstraint("state IN ('pending', 'delivered', 'exhausted')", name="deliveries_state"),
        sa.CheckConstraint("(lease_owner IS NULL) = (lease_until IS NULL)", name="deliveries_lease"),
        sa.UniqueConstraint("endpoint_id", "contact_id", "message_type", name="deliveries_once"),
    )
    pending, leased = sa.text("state = 'pending'"), sa.text("lease_until IS NOT NULL")
    op.create_index("deliveries_due", "deliveries", ["endpoint_id", "next_attempt_at"], postgresql_where=pending)
    op.create_index("deliveries_leased", "deliveries", ["endpoint_id"], postgresql_where=leased)
    op.create_index("deliveries_endpoint", "deliveries", ["endpoint_id", "delivery_id"])
    op.create_table(
        "delivery_attempts",
        sa.Column("delivery_id", sa.Text, sa.ForeignKey("deliveries.delivery_id"), primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True),
        sa.Column("status", sa.SmallInteger, nullable=False),
        _text("error"),
        sa.Column("duration_ms", sa.Integer, nullable=False),
        _time("recorded_at"),
    )


def _seed() -> None:
    put = sa.text(
        "INSERT INTO touchpoints (code, touchpoint_id, touchpoint_class, name_en, name_zh, inbound, outbound,"
        " delivery_ways, preferred_way, recorded_at) VALUES (:code, :touchpoint_id, :touchpoint_class, :name_en,"
        " :name_zh, :inbound, :outbound, :delivery_ways, :preferred_way, now()) ON CONFLICT DO NOTHING"
    ).bindparams(sa.bindparam("delivery_ways", type_=sa.ARRAY(sa.Text)))
    for one in ready_made_touchpoints():
        ways = list(one.delivery_ways)
        values = {name: getattr(one, name) for name in one.__dataclass_fields__} | {"delivery_ways": ways}
        op.execute(put.bindparams(**values))
    policy = ContactPolicy()
    op.execute(
        sa.text(
            "INSERT INTO contact_policy (contacts_max, window_days, cool_off_days, recorded_at)"
            " VALUES (:contacts_max, :window_days, :cool_off_days, now()) ON CONFLICT DO NOTHING"
        ).bindparams(
            contacts_max=policy.contacts_max, window_days=policy.window_days, cool_off_days=policy.cool_off_days
        )
    )
