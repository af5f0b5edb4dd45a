"""Values, rules, refusals and facts of membership; nothing here reads a clock, a database or a network."""
