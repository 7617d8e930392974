"""What a user has, listed: folders, tables, annotations and datasets, their labels and masks."""
