"""Reads beside PostGraphile on the same database: `make bench-read`. It measures and prints; it asserts nothing."""
