"""The native API, /mooring/v1."""
