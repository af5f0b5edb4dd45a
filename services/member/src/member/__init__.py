"""The member service: who the customers are, which tier each membership holds, and what points it has."""
