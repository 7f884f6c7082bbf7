import numpy
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema

ARRAY = NumpyParameterType(numpy.array([[1.0, 2.0]]))
SAMPLE = {
    "array": ARRAY,
    "deep": StandardPythonParameterType({"name": StandardPythonParameterType("n"), "other": ARRAY}),
    "plain": 5,
}


def init():
    pass


@input_schema("inputs", StandardPythonParameterType(SAMPLE))
@input_schema("many", StandardPythonParameterType([ARRAY]), optional=True)
@output_schema(StandardPythonParameterType({"total": 1.0}))
def run(inputs, many=None):
    answer = {"plain": inputs.get("plain"), "kinds": {}}
    if "array" in inputs:
        answer["total"] = float(inputs["array"].sum())
        answer["kinds"]["array"] = type(inputs["array"]).__name__
    if "deep" in inputs:
        answer["kinds"]["deep"] = type(inputs["deep"].get("other")).__name__
    answer["many"] = [type(item).__name__ for item in many or []]
    return answer
