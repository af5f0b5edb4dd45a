"""The ledger's rules: commands, accounts, outcomes and the engine that joins them. No input or output, no clock."""
