import numpy
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.schema_decorators import input_schema, output_schema


def init():
    pass


@input_schema("data", NumpyParameterType(numpy.array([[1.0, 2.0, 3.0]])))
@input_schema("scale", NumpyParameterType(numpy.array([1]), enforce_shape=False), optional=True)
@output_schema(NumpyParameterType(numpy.array([1.0])))
def run(data, scale=[2]):
    if scale is None:
        return "none"
    return {
        "rows": data.tolist(),
        "dtype": str(data.dtype),
        "scale": scale.tolist() if hasattr(scale, "tolist") else ["list", scale],
    }
