"""Runtime of the flows: Prefect's server, shared stages, progress, schedules."""
