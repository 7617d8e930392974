"""How often the gate is right."""
