"""MLflow: runs, metrics, registered models and the champion."""
