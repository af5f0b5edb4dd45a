"""What the service does: load, decide, save, tell. Each function runs inside a transaction that it is given."""
