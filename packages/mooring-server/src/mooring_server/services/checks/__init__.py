"""Whether a data directory is whole: the database, the content, what runs, what lies about."""
