"""Container engines: Docker Engine, Podman and what else speaks the Docker API over a Unix socket."""
