"""Scripts that print tables: ``python -m benchmarks.network``."""
