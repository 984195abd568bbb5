"""Benchmarks against peers: one file each; each prints a table and, with --json, its figures on the last line."""
