"""From scikit-learn's diabetes patients to a scored web service on this machine: what `make quickstart` runs.

Trains a ridge regression, registers it, deploys it with a `score.py`, and compares the service's predictions with
what the patients really had. Everything is kept in `.quickstart/` (MOORING_HOME, if it is set, is used instead for
the server's data). Run it as often as you like: the service is replaced, the model gets its next version.
"""

import json
import os
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / ".quickstart"
os.environ.setdefault("MOORING_HOME", str(FOLDER / "home"))

# Scripts for Azure ML v1 import these names; here they are Mooring's.
from azureml.core import Environment, Model, Workspace
from azureml.core.conda_dependencies import CondaDependencies
from azureml.core.model import InferenceConfig
from azureml.core.webservice import AciWebservice

SCORE = """
import json
import os

import joblib


def init():
    global model
    model = joblib.load(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model.pkl"))


def run(body):
    patients = json.loads(body)["data"]
    return {"predictions": model.predict(patients).round(1).tolist()}
"""


def train():
    """A model file, and five patients that the model has not seen."""
    import joblib
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import train_test_split

    patients, progression = load_diabetes(return_X_y=True)
    seen, unseen, seen_values, true_values = train_test_split(
        patients, progression, test_size=0.2, random_state=0
    )
    model = Ridge(alpha=0.1).fit(seen, seen_values)
    print(f"   {len(seen)} patients, R2 on {len(unseen)} others: {model.score(unseen, true_values):.2f}")
    joblib.dump(model, "model.pkl")
    return unseen[:5].tolist(), true_values[:5].tolist()


def environment():
    """The packages that the pickle was written with."""
    import joblib
    import numpy
    import sklearn

    env = Environment("quickstart")
    env.python.conda_dependencies = CondaDependencies.create(
        python_version="{}.{}".format(*sys.version_info[:2]),
        pip_packages=[
            f"scikit-learn=={sklearn.__version__}",
            f"numpy=={numpy.__version__}",
            f"joblib=={joblib.__version__}",
        ],
    )
    return env


def main():
    FOLDER.mkdir(exist_ok=True)
    os.chdir(FOLDER)  # scripts name their files relative to where they run
    Path("score.py").write_text(SCORE.lstrip())

    print("1. Train a ridge regression")
    patients, true_values = train()

    print("2. Register it")
    # The workspace that the command line uses when nothing else is said.
    ws = Workspace.create(
        "default",
        subscription_id="00000000-0000-0000-0000-000000000000",
        resource_group="default",
        exist_ok=True,
    )
    model = Model.register(ws, model_path="model.pkl", model_name="diabetes", tags={"algorithm": "ridge"})
    print(f"   {model.id}")

    print("3. Deploy it (the first time fetches the packages)")
    started = time.monotonic()
    service = Model.deploy(
        ws,
        "diabetes",
        [model],
        InferenceConfig(entry_script="score.py", environment=environment()),
        AciWebservice.deploy_configuration(cpu_cores=1, memory_gb=1, auth_enabled=True),
        overwrite=True,
    )
    service.wait_for_deployment(show_output=True)
    print(f"   {service.state} after {time.monotonic() - started:.1f} s")

    print("4. Score five patients")
    answer = service.run(json.dumps({"data": patients}))
    print(f"   {'predicted':>10}  {'true':>6}")
    for predicted, true in zip(answer["predictions"], true_values):
        print(f"   {predicted:>10.1f}  {true:>6.0f}")

    key = service.get_keys()[0]
    mooring = Path(sys.executable).with_name("mooring")
    print(f"""
The service goes on at {service.scoring_uri}

Ask it from a shell:
  curl {service.scoring_uri} \\
    -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \\
    -d '{json.dumps({"data": [[round(value, 4) for value in patients[0]]]})}'

Look at it, and stop it:
  export MOORING_HOME={os.environ["MOORING_HOME"]}
  {mooring} service list
  {mooring} down --services""")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Stopped. Run it again whenever you like.")
    except Exception as error:
        if os.environ.get("MOORING_DEBUG"):
            raise
        sys.exit(
            f"\nThe quickstart did not finish: {type(error).__name__}: {error}\n\nWhat this machine lacks, if anything: "
            f"{Path(sys.executable).with_name('mooring')} doctor"
        )
