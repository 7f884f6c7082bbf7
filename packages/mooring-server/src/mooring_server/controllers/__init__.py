"""Reconcilers: drive the world to what users asked for."""
