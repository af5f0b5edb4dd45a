"""The rules of scoring, one noun per module: purchase histories, the two models, lifetime value, ranks, bands, runs.

Nothing here reads a database, a socket or the clock; numpy and scipy are allowed (docs/decisions: scipy in scoring's
domain). Estimates are floats, because they are estimates; every amount of money that leaves a function is whole minor
units.
"""
