"""The calls of billing: read the request, run the use case, render the reply. No rule and no SQL."""
