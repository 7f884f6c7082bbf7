"""How fast builds, deployments and start-up are, alone and beside Dockerfiles."""
