"""MLflow's tracking server, in a process of its own."""
