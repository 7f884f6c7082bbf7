"""HTTP edges, one folder an API."""
