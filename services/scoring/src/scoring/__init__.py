"""Scoring: what a customer's purchases so far say about the purchases to come, as versioned runs."""
