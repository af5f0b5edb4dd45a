"""A service as small as can be, to test the chassis with: it counts what it is told to count."""
