"""Statistics with intervals: rates, means, their changes, and corrections for many comparisons."""
