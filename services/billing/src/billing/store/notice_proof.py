"""What must hold of closed days and snapshots, whatever came late."""

from billing.store.rule import Rule

RULES = (
    Rule(
        "a closed day of an account is the entries that its closing took, and no others",
        "SELECT count(*) FROM account_day_ends",
        """
        SELECT d.account_id || ' ' || d.day
        FROM account_day_ends d JOIN book_days b USING (day)
        LEFT JOIN LATERAL (
            SELECT sum(amount) AS amount, sum(held_change) AS held_change, count(*) AS entries FROM (
                SELECT e.amount, e.held_change FROM ledger_entries e
                WHERE e.account_id = :prefix || d.account_id AND e.account_version <= d.account_version
                  AND e.occurred_at >= b.starts_at AND e.occurred_at < b.ends_at
                UNION ALL
                SELECT e.amount, e.held_change FROM late_entries l
                JOIN ledger_entries e ON e.account_id = :prefix || l.account_id
                                     AND e.account_version = l.account_version
                WHERE l.account_id = d.account_id AND l.stated_at = b.starts_at) AS taken) AS found ON true
        WHERE (d.change_minor, d.held_change_minor, d.entries)
              IS DISTINCT FROM (found.amount, found.held_change, found.entries)""",
    ),
    Rule(
        "each day of an account ends where the day before ended and the day's entries led, by kind as in all",
        "SELECT count(*) FROM account_day_ends",
        """
        SELECT d.account_id || ' ' || d.day FROM (
            SELECT account_id, day, balance_minor, held_minor, change_minor,
                   sum(change_minor) OVER in_order AS led_minor, sum(held_change_minor) OVER in_order AS held_led_minor
            FROM account_day_ends WINDOW in_order AS (PARTITION BY account_id ORDER BY day)) AS d
        LEFT JOIN (SELECT account_id, day, sum(amount_minor) AS amount_minor FROM account_day_sums
                   GROUP BY account_id, day) AS s USING (account_id, day)
        WHERE d.balance_minor <> d.led_minor OR d.held_minor <> d.held_led_minor
           OR d.change_minor <> coalesce(s.amount_minor, 0)""",
    ),
    Rule(
        "a snapshot is the sum of the days that were closed by then",
        "SELECT count(*) FROM snapshots",
        """
        SELECT found.currency || ' ' || found.day FROM (
            SELECT s.*, sum(coalesce(d.change_minor, 0)) OVER in_order AS led_minor,
                   sum(coalesce(d.held_change_minor, 0)) OVER in_order AS held_led_minor,
                   sum(coalesce(d.entries, 0)) OVER in_order AS led_entries
            FROM snapshots s
            LEFT JOIN (SELECT a.currency, e.day, sum(e.change_minor) AS change_minor,
                              sum(e.held_change_minor) AS held_change_minor, sum(e.entries) AS entries
                       FROM account_day_ends e JOIN accounts a USING (account_id) GROUP BY a.currency, e.day) AS d
                   ON d.currency = s.currency AND d.day = s.day
            WINDOW in_order AS (PARTITION BY s.currency ORDER BY s.day)) AS found
        WHERE (balances_minor, held_minor, entries) <> (led_minor, held_led_minor, led_entries)""",
    ),
)
