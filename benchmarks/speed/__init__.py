"""What everything costs, as ratios."""
