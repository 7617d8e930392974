"""MLflow: the client, the run of an audit, the log of a training, and their metrics."""
