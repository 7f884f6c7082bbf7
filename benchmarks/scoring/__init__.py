"""Mooring's scoring server beside its peers: what `make bench-scoring` runs."""
