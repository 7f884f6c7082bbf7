"""Writes the trained model as an MLflow model, without a signature: nothing is checked or made a DataFrame."""

import sys

import mlflow.sklearn
import score

score.init()
mlflow.sklearn.save_model(score.model, sys.argv[1], serialization_format="cloudpickle")
