"""What billing does: load under lock, decide by the domain, save, tell; all in the caller's transaction."""
