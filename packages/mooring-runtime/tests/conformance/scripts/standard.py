from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema


def init():
    pass


@input_schema("text", StandardPythonParameterType("sample"))
@input_schema("number", StandardPythonParameterType(1.5))
@input_schema("whole", StandardPythonParameterType(3), optional=True)
@input_schema("flag", StandardPythonParameterType(True), optional=True)
@input_schema("raw", StandardPythonParameterType(b"abc"), optional=True)
@output_schema(StandardPythonParameterType({"text": "sample"}))
def run(text, number, whole=7, flag=False, raw=None, request_headers=None):
    if text == "raise":
        raise ValueError("asked for it")
    kind = request_headers.get("Content-Type")
    raw = raw.decode() if isinstance(raw, bytes) else raw
    return {"text": text, "number": number, "whole": whole, "flag": flag, "raw": raw, "kind": kind}
