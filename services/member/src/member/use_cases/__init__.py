"""What can be done with customers, memberships and points: load, decide, save, tell.

A command that exists is well-formed: its constructor refuses, with InvalidArgument, what no state could make right.
"""
