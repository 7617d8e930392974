"""From a user's folders, tables, annotations or datasets to a catalog: one row per image."""
