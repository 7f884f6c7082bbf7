"""Saves the models of the suite, with the payloads for each; runs in an environment with MLflow.

suite.py FOLDER writes FOLDER/<model>/ and FOLDER/payloads.json: {model: [[content type, body], ...]}.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from mlflow.models.signature import ModelSignature
from mlflow.types.schema import ParamSchema, ParamSpec
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

OUT = Path(sys.argv[1])
JSON = "application/json"
CSV = "text/csv"
RANDOM = np.random.RandomState(0)
X = RANDOM.normal(size=(60, 3)).round(3)
Y = X @ [1.0, 2.0, 3.0]
TABLE = pd.DataFrame(X, columns=["age", "bmi", "bp"])
MIXED = TABLE.assign(age=(X[:, 0] * 10).round().astype("int64"), city=np.where(Y > 0, "Oslo", "Rome"))
ROW = [0.5, -1.25, 2.0]
PAYLOADS: dict[str, list[tuple[str, Any]]] = {}


def pins(*names: str) -> list[str]:
    return [f"{name}=={version(name)}" for name in ("mlflow", "numpy", *names)]


def tables(columns: list[str], rows: list[list[Any]]) -> list[tuple[str, Any]]:
    """The forms of a table that MLflow takes."""
    records = [dict(zip(columns, row, strict=True)) for row in rows]
    turned = list(reversed(columns))
    csv = "\n".join([",".join(columns), *(",".join(str(value) for value in row) for row in rows)]) + "\n"
    return [
        (JSON, {"dataframe_split": {"columns": columns, "data": rows}}),
        (JSON, {"dataframe_split": {"columns": columns, "index": list(range(len(rows))), "data": rows}}),
        (JSON, {"dataframe_split": {"columns": turned, "data": [row[::-1] for row in rows]}}),
        (JSON, {"dataframe_records": records}),
        (JSON, {"dataframe_records": [{**record, "unasked": 1} for record in records]}),
        (JSON, {"instances": records}),
        (JSON, {"inputs": {name: [row[i] for row in rows] for i, name in enumerate(columns)}}),
        (CSV, csv),
    ]


def broken(columns: list[str], row: list[Any]) -> list[tuple[str, Any]]:
    """What MLflow refuses."""
    return [
        (JSON, {"dataframe_split": {"columns": columns[1:], "data": [row[1:]]}}),
        (JSON, {"dataframe_records": [dict(zip(columns[:-1], row[:-1], strict=True))]}),
        (JSON, {"dataframe_records": [{**dict(zip(columns, row, strict=True)), columns[1]: "many"}]}),
        (JSON, {"inputs": {columns[0]: [row[0]]}}),
        (JSON, {"predict": [row]}),
        (JSON, {"inputs": [row], "instances": [row]}),
        (JSON, {"dataframe_split": [row]}),
        (JSON, {"dataframe_records": {"a": 1}}),
        (JSON, []),
        (JSON, "{"),
        (CSV, "nothing,here\n1,2\n"),
    ]


def tensors(rows: list[Any]) -> list[tuple[str, Any]]:
    return [(JSON, {"inputs": rows}), (JSON, {"instances": rows})]


class Doubler(mlflow.pyfunc.PythonModel):
    """A model in Python, with a parameter."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:  # noqa: ARG002 - MLflow's
        return model_input["age"] * 2 + (params or {}).get("offset", 0)


class Framed(mlflow.pyfunc.PythonModel):
    """Answers with a table."""

    def predict(self, context: Any, model_input: Any) -> Any:  # noqa: ARG002 - MLflow's
        return pd.DataFrame({"sum": model_input.sum(axis=1), "kind": "total"})


def thirds(table: Any) -> Any:
    return table[["age", "bmi"]] / 3


def sklearn() -> None:
    save = mlflow.sklearn.save_model
    options: dict[str, Any] = {"pip_requirements": pins("scikit-learn", "cloudpickle")}
    pickled = {"serialization_format": "cloudpickle", **options}
    ridge = Ridge().fit(TABLE, Y)
    save(ridge, OUT / "ridge", signature=infer_signature(TABLE, Y), **pickled)
    PAYLOADS["ridge"] = tables(list(TABLE), [ROW, [1, 2, 3]]) + broken(list(TABLE), ROW)
    save(ridge, OUT / "unsigned", **pickled)
    PAYLOADS["unsigned"] = [
        p for p in tables(list(TABLE), [ROW]) if "dataframe" in json.dumps(p) or p[0] == CSV
    ]
    arrays = LinearRegression().fit(X, Y)
    save(arrays, OUT / "tensor", signature=infer_signature(X, Y), **pickled)
    PAYLOADS["tensor"] = [*tensors([ROW, ROW]), *tensors([[1, 2]]), *tensors([[1, 2, "x"]])]
    proba = LogisticRegression().fit(TABLE, Y > 0)
    signature = infer_signature(TABLE, proba.predict_proba(TABLE))
    save(proba, OUT / "proba", signature=signature, pyfunc_predict_fn="predict_proba", **pickled)
    PAYLOADS["proba"] = tables(list(TABLE), [ROW])
    encoder = ColumnTransformer([("n", StandardScaler(), ["age"]), ("c", OneHotEncoder(), ["city"])])
    columns = make_pipeline(encoder, LinearRegression()).fit(MIXED, Y)
    save(columns, OUT / "columns", signature=infer_signature(MIXED, Y), **pickled)
    PAYLOADS["columns"] = tables(list(MIXED), [[3, 0.5, 1.5, "Rome"], [4, 1, 2, "Oslo"]]) + broken(
        list(MIXED), [3, 0.5, 1.5, "Rome"]
    )
    whole = pd.DataFrame({"a": np.arange(9, dtype="int32"), "b": np.arange(9, dtype="int64") * 2})
    forest = RandomForestRegressor(3, random_state=0).fit(whole, whole["a"])
    save(forest, OUT / "integers", signature=infer_signature(whole, whole["a"] * 1.0), **pickled)
    PAYLOADS["integers"] = tables(["a", "b"], [[1, 2], [5, 6]]) + broken(["a", "b"], [1, 2])
    halves = TABLE.astype({"age": "float32"}).assign(on=X[:, 1] > 0)
    linear = LinearRegression().fit(halves, Y)
    save(linear, OUT / "mixed", signature=infer_signature(halves, Y), **pickled)
    PAYLOADS["mixed"] = tables(list(halves), [[*ROW, True], [0.1, 0.2, 0.3, False]])
    own = make_pipeline(FunctionTransformer(thirds), LinearRegression()).fit(TABLE, Y)
    save(own, OUT / "own", signature=infer_signature(TABLE, Y), **pickled)
    PAYLOADS["own"] = tables(list(TABLE), [ROW])
    if "skops" in mlflow.sklearn.SUPPORTED_SERIALIZATION_FORMATS:
        trusted = {
            "pip_requirements": pins("scikit-learn", "skops"),
            "serialization_format": "skops",
            "skops_trusted_types": ["sklearn.tree._tree.Tree"],
        }
        save(forest, OUT / "skops", signature=infer_signature(whole, whole["a"] * 1.0), **trusted)
        PAYLOADS["skops"] = tables(["a", "b"], [[1, 2]])


def boosted() -> None:
    import lightgbm
    import xgboost

    signature = infer_signature(TABLE, Y)
    booster = xgboost.train({}, xgboost.DMatrix(TABLE, Y), 5)
    options = {"signature": signature, "pip_requirements": pins("xgboost-cpu", "scikit-learn")}
    mlflow.xgboost.save_model(booster, OUT / "xgboost", **options)
    small = lightgbm.train({"verbose": -1, "min_data_in_leaf": 2}, lightgbm.Dataset(TABLE, Y), 5)
    options = {"signature": signature, "pip_requirements": pins("lightgbm", "scikit-learn")}
    mlflow.lightgbm.save_model(small, OUT / "lightgbm", **options)
    for name in ("xgboost", "lightgbm"):
        PAYLOADS[name] = tables(list(TABLE), [ROW, [1, 2, 3]])


def onnx() -> None:
    from onnx import TensorProto, helper

    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 3])
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "double", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = {"pip_requirements": pins("onnx", "onnxruntime")}
    signature = infer_signature(X.astype("float32"), X.astype("float32"))
    mlflow.onnx.save_model(model, OUT / "onnx", signature=signature, **options)
    PAYLOADS["onnx"] = tensors([[1, 2, 3], [4, 5, 6]])


def python() -> None:
    options = {"pip_requirements": pins("cloudpickle")}
    params = ParamSchema([ParamSpec("offset", "long", 0)])
    signature = infer_signature(TABLE, Y)
    signed = ModelSignature(inputs=signature.inputs, outputs=signature.outputs, params=params)
    mlflow.pyfunc.save_model(OUT / "params", python_model=Doubler(), signature=signed, **options)
    split = {"columns": list(TABLE), "data": [ROW]}
    PAYLOADS["params"] = [
        *tables(list(TABLE), [ROW]),
        (JSON, {"dataframe_split": split, "params": {"offset": 5}}),
        (JSON, {"dataframe_split": split, "params": {"offset": "x"}}),
        (JSON, {"dataframe_split": split, "params": {"other": 1}}),
    ]
    mlflow.pyfunc.save_model(OUT / "framed", python_model=Framed(), signature=signature, **options)
    PAYLOADS["framed"] = tables(list(TABLE), [ROW, ROW]) + broken(list(TABLE), ROW)
    code = OUT / "helpers"
    code.mkdir()
    (code / "suite_helper.py").write_text("def tripled(values):\n    return values * 3\n")
    (OUT / "with_code.py").write_text(
        "import mlflow\nfrom suite_helper import tripled\n\n\n"
        "class Tripler(mlflow.pyfunc.PythonModel):\n"
        "    def predict(self, context, model_input, params=None):\n"
        "        return tripled(model_input['age'])\n\n\n"
        "mlflow.models.set_model(Tripler())\n"
    )
    sys.path.insert(0, str(code))
    mlflow.pyfunc.save_model(
        OUT / "code",
        python_model=str(OUT / "with_code.py"),
        signature=signature,
        code_paths=[str(code / "suite_helper.py")],
        **options,
    )
    PAYLOADS["code"] = tables(list(TABLE), [ROW])


sklearn()
boosted()
onnx()
python()
(OUT / "payloads.json").write_text(
    json.dumps(
        {k: [[c, b if isinstance(b, str) else json.dumps(b)] for c, b in v] for k, v in PAYLOADS.items()}
    )
)
