import pandas
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema

SAMPLE = pandas.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": [1.5, 2.5]})


def init():
    pass


@input_schema("data", PandasParameterType(SAMPLE))
@input_schema("split", PandasParameterType(SAMPLE, orient="split", enforce_shape=False), optional=True)
@output_schema(StandardPythonParameterType([1.0]))
def run(data, split=None):
    kinds = ["number" if pandas.api.types.is_numeric_dtype(kind) else "other" for kind in data.dtypes]
    answer = {"columns": list(data.columns), "kinds": kinds, "a": data["a"].tolist()}
    if split is not None:
        answer["split"] = split["b"].tolist()
    return answer
