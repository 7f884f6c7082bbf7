"""MLflow's REST API, for the tracking server behind it."""
