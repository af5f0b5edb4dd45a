"""What the campaign service does: load, decide, save, tell; each inside a transaction that is given to it."""
