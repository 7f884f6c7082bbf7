"""Bases that a Dockerfile describes: buildah, Podman or Docker carry out its steps."""
