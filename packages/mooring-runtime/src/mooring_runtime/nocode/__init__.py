"""Scores models that are deployed without code.

These files lie beside the model in its image, as the package ``mooring_nocode``, and run in the model's own
environment: NumPy and the model's framework are there, nothing else is. CPython 3.6 and newer.
"""
