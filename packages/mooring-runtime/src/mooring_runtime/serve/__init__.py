"""Serves an entry script straight from its folder, for debugging it: ``mooring-serve``."""
