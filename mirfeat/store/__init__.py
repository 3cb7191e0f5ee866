"""A folder of vectors."""
