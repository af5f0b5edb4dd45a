"""Everything the ledger knows of PostgreSQL: tables, the statements of a posting, reads and the proof."""
