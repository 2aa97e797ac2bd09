"""What Schemathesis is told beyond the description: which things there are, so that not all that it asks for is missing; and
which operations ever answered well."""

import atexit
import json
import os
import zlib

import schemathesis
from schemathesis import GenerationMode
from schemathesis.core.parameters import ParameterLocation

from gateway import SEEDS

OWN = "/admin/v1/tenants/{tenant}"
DIGEST = os.environ["SEEDED_DIGEST"]
MODELS = {"chat/completions": "demo-model", "completions": "demo-model", "embeddings": "demo-embedding"}
# Of 8 requests, so many name what there is.
KNOWN = 6

answered = {}


def is_good(case, location):
    """Whether this part of a request is meant to fit the description."""
    component = case.meta.components.get(location) if case.meta else None
    return component is None or component.mode == GenerationMode.POSITIVE


def luck(case):
    """0 to 7, the same for the same request."""
    text = repr((case.method, case.path, case.path_parameters, case.query, case.body))
    return zlib.crc32(text.encode("utf-8", "replace")) % 8


@schemathesis.hook
def before_call(context, case, kwargs):
    chance = luck(case)
    parameters = case.path_parameters or {}
    if chance < KNOWN and is_good(case, ParameterLocation.PATH):
        parameters.update(known_path(case, parameters))
    protect(case, parameters, chance)
    if chance < KNOWN // 2 and is_good(case, ParameterLocation.HEADER) and case.headers:
        # Mostly each other's opposite.
        case.headers.pop("if-match", None)
        case.headers.pop("if-none-match", None)
    if chance < KNOWN and is_good(case, ParameterLocation.BODY) and isinstance(case.body, dict):
        known_body(case, parameters, chance)


def known_path(case, parameters):
    kind = case.path.removeprefix(OWN + "/").partition("/")[0]
    name = "seeded-api-m" if kind == "endpoints" else "seeded"
    if case.method == "DELETE":
        name = "seeded-api-spare" if kind == "endpoints" else "spare"
    known = {
        "tenant": "default", "name": name, "model": "demo-model", "id": "demo-model", "cluster": "demo",
        "framework": "api",
    }
    return {name: value for name, value in known.items() if name in parameters}


def protect(case, parameters, chance):
    """The run must not take away what it runs on: the tenant's quota, and the key that it shows."""
    if case.path == OWN and case.method == "PUT" and parameters.get("tenant") == "default":
        parameters["tenant"] = "settled"
    if case.path == OWN and case.method == "DELETE":
        parameters["tenant"] = "spare" if chance < KNOWN else "default"
    if case.path == f"{OWN}/keys/{{name}}":
        parameters["name"] = "spare" if chance < KNOWN else "missing"


def known_body(case, parameters, chance):
    operation = case.path.partition("/v1/")[2]
    if operation in MODELS:
        case.body["model"] = MODELS[operation]
        if operation == "embeddings" and chance % 2:
            # The backend takes only texts.
            case.body = {"model": case.body["model"], "input": ["text"]}
        if not case.body.get("stream"):
            case.body.pop("stream_options", None)
        if not case.body.get("logprobs"):
            case.body.pop("top_logprobs", None)
    elif case.path.endswith("/rollout"):
        case.body["version"] = DIGEST[:12]
    elif case.path in ("/admin/v1/tenants", f"{OWN}/keys"):
        case.body["name"] = f"made-{zlib.crc32(repr(case.body).encode('utf-8', 'replace'))}"
    else:
        kind = case.path.removeprefix(OWN + "/").partition("/")[0]
        fields = SEEDS.get(kind, {}).get(parameters.get("name", "seeded-api-m" if kind == "endpoints" else "seeded"))
        if fields and chance % 2:
            case.body = dict(fields)


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """The backends of endpoints that the run itself has made are not there: 502 is the right answer for their models."""
    model = case.body.get("model") if isinstance(case.body, dict) else None
    # Anthropic's errors have no code.
    code = response.json()["error"].get("code", "upstream_unreachable") if response.status_code == 502 else None
    is_missing = code == "upstream_unreachable"
    return not (is_missing and model not in MODELS.values())


@schemathesis.hook
def after_call(context, case, response):
    statuses = answered.setdefault(f"{case.method} {case.path}", {})
    statuses[response.status_code] = statuses.get(response.status_code, 0) + 1


@atexit.register
def tell():
    with open(os.environ["ANSWERED"], "w") as file:
        json.dump(answered, file)
