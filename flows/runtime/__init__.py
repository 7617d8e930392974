"""What flows run on: Prefect's server, progress, schedules."""
