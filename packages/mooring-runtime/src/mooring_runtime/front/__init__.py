"""The scoring front."""
