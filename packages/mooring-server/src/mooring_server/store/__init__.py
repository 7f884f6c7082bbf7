"""Database and content store."""
