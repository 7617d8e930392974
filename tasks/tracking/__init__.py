"""MLflow: runs, metrics, registered models and who is champion."""
