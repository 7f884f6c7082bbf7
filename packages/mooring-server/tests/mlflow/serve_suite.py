"""Serves all models of the suite by the application that `mlflow models serve` runs; in an environment with MLflow.

serve_suite.py FOLDER PORT answers at /<model>/invocations: one start instead of one for each model.
"""

from __future__ import annotations

import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from mlflow import pyfunc
from mlflow.pyfunc import scoring_server

app = FastAPI()
for description in sorted(Path(sys.argv[1]).glob("*/MLmodel")):
    folder = description.parent
    app.mount(f"/{folder.name}", scoring_server.init(pyfunc.load_model(str(folder))))
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
