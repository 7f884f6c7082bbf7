"""The OCI registry, /v2/."""
