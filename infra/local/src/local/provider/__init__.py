"""A payment provider for this machine: it takes no money, and does on request all that a real one does at times."""
