"""The service's calls: read the request, run the use case, render the reply."""
