"""Use cases of storage accounts."""
