"""Runnable comparisons: python -m benchmarks NAME [--quick] [--json | --markdown]."""
