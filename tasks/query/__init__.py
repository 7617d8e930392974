"""One row per image of a run: typed filters, counts and order, in DuckDB."""
