"""The user's classifier: where it comes from, its weights, its classes and its preprocessing."""
