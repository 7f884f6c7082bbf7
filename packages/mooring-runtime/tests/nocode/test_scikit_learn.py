"""scikit-learn models without pandas in the environment: arrays are arrays from the body to `predict`."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import NMF
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from mooring_runtime.nocode import batches, estimators
from mooring_runtime.nocode.errors import Refused
from mooring_runtime.nocode.scikit_learn import ScikitLearn, load

RANDOM = np.random.RandomState(0)
X = RANDOM.normal(size=(40, 3))
Y = X @ [1.0, 2.0, 3.0]
LABELS = np.where(Y > 0, "yes", "no")


def ask(model: Any, *bodies: Any) -> list[Any]:
    texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
    return batches.run(ScikitLearn(model).read, texts)


def refusal(model: Any, body: Any) -> str:
    (answer,) = ask(model, body)
    assert isinstance(answer, Refused), answer
    return str(answer)


def with_names(model: Any, *names: str) -> Any:
    """As if fitted with a table; there is no pandas here."""
    model.feature_names_in_ = np.array(names, dtype=object)
    return model


@pytest.mark.parametrize("name", ["model.pkl", "model.joblib"])
def test_files(tmp_path: Path, name: str) -> None:
    path, model = tmp_path / name, Ridge().fit(X, Y)
    if name.endswith(".pkl"):
        path.write_bytes(pickle.dumps(model))
    else:
        joblib.dump(model, path)
    assert ask(load(str(path)), {"data": X[:2].tolist()}) == [model.predict(X[:2]).tolist()]


def test_methods() -> None:
    model = LogisticRegression().fit(X, LABELS)
    row = X[:1].tolist()
    proba, labels, decision = ask(
        model,
        {"data": row},
        {"data": row, "method": "predict"},
        {"data": row, "method": "decision_function"},
    )
    assert proba == pytest.approx(model.predict_proba(X[:1]))
    assert labels == [LABELS[0]]
    assert decision == pytest.approx(model.decision_function(X[:1]))
    assert "has no method 'predct'" in refusal(model, {"data": row, "method": "predct"})
    assert refusal(model, {"data": row, "method": "predct"}).endswith("Did you mean 'predict'?")
    assert refusal(model, {"data": row, "method": "fit"}).startswith("The model has no method 'fit'; it has ")


def test_the_array_reaches_the_model_as_one() -> None:
    job = ScikitLearn(Ridge().fit(X, Y)).read('{"data": [[1, 2, 3]]}')
    assert isinstance(job.data, np.ndarray)
    assert job.data.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([[1, 2]], "The model takes 3 features a row, but the rows in 'data' have 2."),
        ([1, 2, 3], "The model takes rows of 3 features, but 'data' is a list of 3 values."),
        ([[[1, 2, 3]]], "nested 3 deep"),
        ([[1, 2, 3], [1, 2]], "Row 1 of 'data' has 2 values, but row 0 has 3."),
        ([[1, 2, 3], 4], "Row 1 of 'data' must be a list like row 0, but it is a number."),
        ([[1, "two", 3]], "row 0, column 1 is 'two'"),
        ([[1, None, 3]], "NaN"),
        ([], "There are no rows in 'data'."),
    ],
)
def test_data_that_do_not_fit(data: Any, message: str) -> None:
    assert message in refusal(Ridge().fit(X, Y), {"data": data})


def test_columns_by_name() -> None:
    model = Ridge().fit(X, Y)
    expected = model.predict([[1, 2, 3]]).tolist()
    with_names(model, "age", "bmi", "bp")
    assert (
        ask(
            model,
            {"data": [[1, 2, 3]]},
            {"data": [{"bp": 3, "other": 0, "bmi": 2, "age": 1}]},
            {"dataframe_split": {"columns": ["bp", "bmi", "age"], "data": [[3, 2, 1]]}},
            {"inputs": {"bmi": [2], "age": [1], "bp": [3]}},
            "bp,bmi,age\n3,2,1\n",
        )
        == [expected] * 5
    )
    assert "The column bmi is missing; the model takes age, bmi, bp." in refusal(
        model, {"data": [{"age": 1, "bp": 2}]}
    )
    assert "The columns bmi, bp are missing" in refusal(model, {"inputs": {"age": [1]}})
    assert "Column 'bmi' of 'inputs' has 2 values, but column 'age' has 1." in refusal(
        model, {"inputs": {"age": [1], "bmi": [1, 2], "bp": [1]}}
    )
    assert "3 features (age, bmi, bp) a row" in refusal(model, {"data": [[1]]})


def test_texts() -> None:
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(
        ["good day", "bad day"] * 3, [1, 0] * 3
    )
    assert ask(model, {"data": ["good day", "bad"], "method": "predict"}) == [[1, 0]]
    assert "does not accept the data" in refusal(model, {"data": [[1]]})


def test_which_models_need_a_table() -> None:
    def framed(model: Any) -> bool:
        return ScikitLearn(with_names(model, "a", "b", "c")).framed

    assert not framed(Ridge().fit(X, Y))
    assert not framed(ColumnTransformer([("scaled", StandardScaler(), [0, 1])]).fit(X))
    assert not framed(FunctionTransformer(np.log1p).fit(X))
    by_name = ColumnTransformer([("scaled", StandardScaler(), ["a"])])
    assert not estimators.takes_arrays(by_name)
    assert not estimators.takes_arrays(make_pipeline(by_name, Ridge()))
    assert not estimators.takes_arrays(FunctionTransformer(lambda table: table["a"]))
    assert framed(type("Own", (LinearRegression,), {})().fit(X, Y))
    # Fitted before scikit-learn kept names.
    assert ScikitLearn(by_name).framed


def test_requests_share_a_call() -> None:
    model = RandomForestClassifier(5, random_state=0).fit(X, LABELS)
    calls = []
    predict = model.predict

    def counted(data: Any) -> Any:
        calls.append(len(data))
        return predict(data)

    model.predict = counted
    bodies = [{"data": X[i : i + 1 + i % 3].tolist(), "method": "predict"} for i in range(12)]
    assert ask(model, *bodies) == [predict(X[i : i + 1 + i % 3]).tolist() for i in range(12)]
    assert calls == [24]
    calls.clear()
    proba = ask(model, {"data": X[:1].tolist()}, bodies[0], {"data": X[1:2].tolist()})
    assert calls == [1]
    assert proba[1] == predict(X[:1]).tolist()


def test_a_bad_request_does_not_fail_its_neighbours() -> None:
    model = Ridge().fit(X, Y)
    good = {"data": X[:1].tolist()}
    expected = pytest.approx(model.predict(X[:1]))
    answers = ask(model, good, {"data": [[None, 1, 2]]}, good, {"data": [[1]]}, "{", good)
    assert [isinstance(answer, Refused) for answer in answers] == [False, True, False, True, True, False]
    assert [answers[0], answers[2], answers[5]] == [expected] * 3
    assert "NaN" in str(answers[1])


def test_rows_that_depend_on_each_other_are_not_put_together() -> None:
    assert estimators.is_row_wise(make_pipeline(StandardScaler(), KMeans(2)))
    assert not estimators.is_row_wise(make_pipeline(NMF(2), Ridge()))
    assert not estimators.is_row_wise(FunctionTransformer(lambda rows: rows - rows.mean()))
    centred = make_pipeline(
        FunctionTransformer(lambda rows: rows - rows.mean(axis=0)), LinearRegression()
    ).fit(X, Y)
    alone = ask(centred, {"data": X[:2].tolist()})
    assert ask(centred, {"data": X[:2].tolist()}, {"data": X[5:9].tolist()})[0] == alone[0]


def test_results_of_all_kinds() -> None:
    letters = np.array([["a"], ["b"]] * 5, dtype=object)
    assert ask(OneHotEncoder().fit(letters), {"data": [["a"], ["b"]]}) == [[[1.0, 0.0], [0.0, 1.0]]]
    two = RandomForestClassifier(2, random_state=0).fit(X, np.stack([Y > 0, X[:, 0] > 0], 1))
    several = ask(two, {"data": X[:2].tolist()}, {"data": X[2:4].tolist()})
    assert np.array(several).shape == (2, 2, 2, 2)
    assert several[0] == [part.tolist() for part in two.predict_proba(X[:2])]


def test_the_description() -> None:
    described = ScikitLearn(with_names(LogisticRegression().fit(X, LABELS), "a", "b", "c")).contract()[
        "input"
    ]
    assert described["properties"]["data"]["items"]["maxItems"] == 3
    assert described["properties"]["data"]["description"] == "Columns: a, b, c"
    assert described["example"] == {"data": [[0, 0, 0]], "method": "predict_proba"}
