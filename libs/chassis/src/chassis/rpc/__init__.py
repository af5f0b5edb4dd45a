"""gRPC: the server with its guard, channels to other services, and refusals on the wire."""
