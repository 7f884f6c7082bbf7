"""Assembles the server."""
