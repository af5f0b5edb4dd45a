"""Values, rules, refusals and facts of touchpoints, contacts and deliveries; no I/O and no clock."""
