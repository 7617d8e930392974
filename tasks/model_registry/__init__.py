"""MLflow's model registry: versions, their aliases, and who becomes champion."""
