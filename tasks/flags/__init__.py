"""From maps and interventions to one score per image, its threshold and its flag."""
