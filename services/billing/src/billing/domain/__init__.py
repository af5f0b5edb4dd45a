"""The rules of billing: values, refusals and facts. Nothing here reads a clock, a database or a message."""
