"""A release policy, its rules against a candidate's figures, and the verdict."""
