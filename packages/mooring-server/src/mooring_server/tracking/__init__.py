"""MLflow's tracking server, in a process of its own."""

# Files in this subfolder name workspaces that were deleted while the process did not run.
FORGOTTEN = "forgotten"
# The process's exit status when a newer MLflow has written its database.
TOO_NEW = 3
