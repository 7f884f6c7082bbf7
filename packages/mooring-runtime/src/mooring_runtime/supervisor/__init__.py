"""The supervisor owns a running service."""
