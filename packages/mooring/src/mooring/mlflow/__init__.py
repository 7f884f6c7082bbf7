"""The plugin by which MLflow's own client tracks, registers and deploys with Mooring (docs/guide/mlflow.md).

MLflow loads its modules by the entry points in pyproject.toml, some while it is itself being imported: nothing here
imports MLflow but inside of functions and of modules that those import.
"""
