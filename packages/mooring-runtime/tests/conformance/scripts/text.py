import json
import math


def init():
    print("a line of init()")


def run(data):
    try:
        asked = json.loads(data)
    except ValueError:
        return {"text": data, "length": len(data)}
    if not isinstance(asked, dict) or "do" not in asked:
        return {"parsed": asked}
    return DO[asked["do"]](asked)


def raise_error(asked):
    raise ValueError("secret detail")


def missing_key(asked):
    return asked["absent"]


def numpy_array(asked):
    import numpy

    return numpy.arange(3)


def numpy_float(asked):
    import numpy

    return numpy.float64(1.5)


def numpy_integer(asked):
    import numpy

    return numpy.int64(1)


def generator(asked):
    return (number for number in range(3))


DO = {
    "raise": raise_error,
    "missing_key": missing_key,
    "numpy_array": numpy_array,
    "numpy_float": numpy_float,
    "numpy_integer": numpy_integer,
    "generator": generator,
    "none": lambda asked: None,
    "text": lambda asked: "plain text",
    "empty_text": lambda asked: "",
    "json_text": lambda asked: json.dumps({"a": [1, 2]}),
    "number": lambda asked: 1.5,
    "big_number": lambda asked: 2**80,
    "true": lambda asked: True,
    "list": lambda asked: [1, "a", None, [True]],
    "empty_list": lambda asked: [],
    "empty_dict": lambda asked: {},
    "tuple": lambda asked: (1, (2, 3)),
    "set": lambda asked: {1},
    "bytes": lambda asked: b"abc",
    "object": lambda asked: object(),
    "exception": lambda asked: ValueError("returned"),
    "nan": lambda asked: [math.nan, math.inf, -math.inf],
    "unicode": lambda asked: {"žluť": "kůň \U0001f40e"},
    "integer_keys": lambda asked: {1: "a", None: "b", False: "c", 1.5: "d"},
    "tuple_keys": lambda asked: {(1, 2): "a"},
    "nested": lambda asked: {"a": {"b": [{"c": [[]]}]}},
    "legacy_dict": lambda asked: {"aml_response_headers": {"X-A": "1"}, "aml_response_body": {"b": 2}},
    "control": lambda asked: "a\u0000\n\t\u2028</script>",
}
