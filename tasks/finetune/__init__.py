"""Training: what a network learns from, by which objective, and the choice of the best epoch."""
