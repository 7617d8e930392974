"""From maps and interventions to one score an image, its threshold and its flag."""
