"""What is known of customers is forgotten when they are erased, and what comes of them afterwards is not kept."""

from alembic import op

revision = "0003"
down_revision = "0002"

_ERASED = """
CREATE TABLE erased_customers (
    customer_id text PRIMARY KEY,
    erased_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL
)"""

_EVENTS_INDEX = "CREATE INDEX customer_events_customer ON customer_events (customer_id)"

# Events stay as they were taken, but for what those of an erased customer say.
_KEEP_EVENTS = """
CREATE FUNCTION refuse_change_but_erasure() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.attributes = '{}' AND NEW.fingerprint = '' AND to_jsonb(NEW) - '{attributes,fingerprint}'::text[]
            = to_jsonb(OLD) - '{attributes,fingerprint}'::text[]
            AND EXISTS (SELECT FROM erased_customers WHERE erased_customers.customer_id = OLD.customer_id) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'rows of customer_events are append-only' USING ERRCODE = '42501';
END $$"""

_EVENTS_TRIGGERS = (
    "DROP TRIGGER customer_events_append_only ON customer_events",
    """
    CREATE TRIGGER customer_events_append_only BEFORE DELETE OR TRUNCATE ON customer_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()""",
    """
    CREATE TRIGGER customer_events_but_erasure BEFORE UPDATE ON customer_events
    FOR EACH ROW EXECUTE FUNCTION refuse_change_but_erasure()""",
)

# By the owner, as the service itself may change no event. Who is writing is waited for, and who writes afterwards sees
# that the customer is erased; readers go on.
_FORGET = """
CREATE FUNCTION forget_customers(ids text[], instants timestamptz[], recorded_at timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    LOCK TABLE tag_values, customer_tags, account_tags, customers, customer_events IN SHARE ROW EXCLUSIVE MODE;
    INSERT INTO erased_customers
    SELECT erased.customer_id, erased.erased_at, forget_customers.recorded_at
    FROM unnest(ids, instants) AS erased(customer_id, erased_at)
    ON CONFLICT DO NOTHING;
    DELETE FROM tag_values WHERE customer_id = ANY(ids);
    DELETE FROM customer_tags WHERE customer_id = ANY(ids);
    DELETE FROM account_tags WHERE customer_id = ANY(ids);
    DELETE FROM customers WHERE customer_id = ANY(ids);
    UPDATE customer_events SET attributes = '{}', fingerprint = '' WHERE customer_id = ANY(ids);
END $$"""


def upgrade() -> None:
    """Adds who was erased, and the one way to forget them."""
    for statement in (_ERASED, _EVENTS_INDEX, _KEEP_EVENTS, *_EVENTS_TRIGGERS, _FORGET):
        op.execute(statement.replace(":", r"\:"))
    op.execute("REVOKE ALL ON FUNCTION forget_customers FROM PUBLIC")
