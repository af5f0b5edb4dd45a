"""gRPC: request in, use case, reply out; no rule and no SQL."""
