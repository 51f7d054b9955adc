"""Reads compared with PostGraphile on the same database: `make bench-read`. It prints figures and asserts nothing."""
