"""Does discovery find the patterns that were planted, and only those?"""
