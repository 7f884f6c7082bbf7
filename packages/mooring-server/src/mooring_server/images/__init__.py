"""The image builder."""
