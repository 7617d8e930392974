"""Statistics with intervals: rates, means, changes of both, and corrections for many."""
