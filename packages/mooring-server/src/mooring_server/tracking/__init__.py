"""MLflow's tracking server, in a process of its own."""

# Files in this subfolder name workspaces that were deleted while the process did not run.
FORGOTTEN = "forgotten"
