"""JSON schemas of an MLflow service, from the model's signature; the same for all versions of OpenAPI."""

TYPES = {
    "double": {"type": "number", "format": "double"},
    "float": {"type": "number", "format": "float"},
    "long": {"type": "integer", "format": "int64"},
    "integer": {"type": "integer", "format": "int32"},
    "boolean": {"type": "boolean"},
    "string": {"type": "string"},
    "binary": {"type": "string", "format": "byte"},
    "datetime": {"type": "string", "format": "date-time"},
}
EXAMPLES = {
    "double": 0.0,
    "float": 0.0,
    "long": 0,
    "integer": 0,
    "boolean": False,
    "string": "",
    "datetime": "2026-01-01T00:00:00",
}


def contract(plan):
    """What the front must know: see the worker's ``contract``."""
    return {
        "routes": ["/invocations"],
        "input": request(plan.get("inputs") or [], plan.get("params") or []),
        "output": {
            "type": "object",
            "required": ["predictions"],
            "properties": {"predictions": result(plan)},
        },
    }


def request(inputs, params):
    """The schema of a request."""
    named = bool(inputs) and all(item.get("name") for item in inputs)
    rows = {"type": "array", "items": {}}
    properties = {"inputs": {}, "instances": dict(rows)}
    if named and inputs[0]["type"] != "tensor":
        record = {
            "type": "object",
            "properties": {item["name"]: schema(item) for item in inputs},
            "required": [item["name"] for item in inputs if item.get("required", True)],
        }
        if not record["required"]:
            del record["required"]
        properties["dataframe_records"] = {"type": "array", "items": record}
        properties["instances"]["items"] = record
    elif inputs and inputs[0]["type"] == "tensor":
        properties["inputs"] = {"description": "; ".join(described(item) for item in inputs)}
    properties["dataframe_split"] = {
        "type": "object",
        "required": ["data"],
        "properties": {
            "columns": {"type": "array", "items": {"type": "string"}},
            "index": dict(rows),
            "data": {"type": "array", "items": dict(rows)},
        },
    }
    if params:
        properties["params"] = {
            "type": "object",
            "properties": {item["name"]: dict(schema(item), default=item.get("default")) for item in params},
        }
    whole = {"type": "object", "properties": properties}
    if named and all(item["type"] in EXAMPLES for item in inputs):
        whole["example"] = {
            "dataframe_split": {
                "columns": [item["name"] for item in inputs],
                "data": [[EXAMPLES[item["type"]] for item in inputs]],
            }
        }
    return whole


def result(plan):
    """The schema of the predictions."""
    outputs = plan.get("outputs") or []
    if len(outputs) == 1 and not outputs[0].get("name") and outputs[0]["type"] != "tensor":
        return {"type": "array", "items": schema(outputs[0])}
    if outputs and outputs[0]["type"] == "tensor":
        return {"description": "; ".join(described(item) for item in outputs)}
    if outputs and all(item.get("name") for item in outputs):
        properties = {item["name"]: schema(item) for item in outputs}
        return {"type": "array", "items": {"type": "object", "properties": properties}}
    return {}


def schema(item):
    """One column, field or parameter."""
    kind = item["type"]
    if kind == "array" and isinstance(item.get("items"), dict):
        return {"type": "array", "items": schema(item["items"])}
    if kind == "object" and isinstance(item.get("properties"), dict):
        fields = item["properties"].items()
        return {"type": "object", "properties": {name: schema(field) for name, field in fields}}
    if kind == "map":
        return {"type": "object"}
    return dict(TYPES.get(kind, {}))


def described(item):
    """``float64 [-1, 4]``, with the tensor's name if it has one."""
    spec = item.get("tensor-spec", {})
    text = "{} {}".format(spec.get("dtype"), spec.get("shape"))
    return "{}: {}".format(item["name"], text) if item.get("name") else text
