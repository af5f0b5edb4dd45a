"""What every Touchstone process shares (a microservice chassis)."""
