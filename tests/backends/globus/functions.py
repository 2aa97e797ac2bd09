"""Functions that are registered with Globus Compute, by their source: each has its imports within itself.

They keep to what FIRST's do: arguments, results (JSON in a string), exceptions and callbacks.
"""


def infer(parameters):
    """Sends a request to the node's model server; its answer is the result, or goes to the gateway piece by piece."""
    import json
    import os
    import time

    import requests

    body = dict(parameters["model_params"])
    operation, port = body.pop("openai_endpoint"), body.pop("api_port")
    host, server_port, protocol = (body.pop(f"streaming_server_{x}", None) for x in ("host", "port", "protocol"))
    task, token = body.pop("stream_task_id", None), body.pop("stream_task_token", None)
    session = requests.Session()

    def ask():
        url = f"http://127.0.0.1:{port}/v1/{operation}"
        key = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
        answer = requests.post(url, json=body, headers=key, stream=task is not None, timeout=60)
        if answer.status_code != 200:
            said = f"\nResponse text: {answer.text}\nResponse headers: {dict(answer.headers)}"
            raise Exception(f"API request failed with status code: {answer.status_code}{said}")
        return answer

    def tell(kind, **more):
        url = f"{protocol}://{host}:{server_port}/resource_server/api/streaming/{kind}/"
        headers = {
            "X-Internal-Secret": os.environ.get("INTERNAL_STREAMING_SECRET", "default-secret-change-me"),
            "X-Stream-Task-Token": token,
        }
        session.post(url, json={"task_id": task, "type": kind, **more}, headers=headers, timeout=10)

    def stream():
        lines, sent, last = [], 0, time.monotonic()
        for line in ask().iter_lines():
            if line == b"data: [DONE]":
                break
            if line:
                lines.append(line.decode())
            if len(lines) >= 20 or (lines and time.monotonic() - last >= 0.5):
                tell("data", data="\n".join(lines))
                lines, sent, last = [], sent + len(lines), time.monotonic()
        if lines:
            tell("data", data="\n".join(lines))
        tell("done")
        return {"streaming": True, "task_id": task, "status": "completed", "total_chunks": sent + len(lines)}

    try:
        return json.dumps(stream()) if task else ask().text
    except Exception as error:
        said = f"Unexpected error of type {type(error).__name__}: {error}"
        if not task:
            raise Exception(said)
        tell("error", error=said)
        return json.dumps({"streaming": True, "task_id": task, "status": "error", "error": said})


def broken(parameters):
    """What FIRST shipped for a while: the import stood outside of the function."""
    return requests.post("http://127.0.0.1/", json=parameters).text  # noqa: F821


def batch(parameters):
    """Answers every line of a file of requests, and writes the answers into another."""
    import json
    import os
    import pathlib

    import requests

    order = parameters["model_params"]
    source = pathlib.Path(order["input_file"])
    target = pathlib.Path(order.get("output_folder_path") or source.parent) / f"{parameters['batch_id']}.results.jsonl"
    key = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
    tokens = count = 0
    with open(source) as requested, open(target, "w") as written:
        for count, line in enumerate(requested, 1):
            asked = json.loads(line)
            url = os.environ["OPENAI_BASE_URL"] + asked["url"].removeprefix("/v1")
            answer = requests.post(url, json=asked["body"], headers=key, timeout=60).json()
            tokens += answer["usage"]["total_tokens"]
            written.write(json.dumps({"custom_id": asked["custom_id"], "response": answer}) + "\n")
    return json.dumps({"results_file": str(target), "num_responses": count, "total_tokens": tokens})


def queue():
    """What runs on the cluster, which a file says in the place of PBS."""
    import os
    import pathlib

    return pathlib.Path(os.environ["QUEUE_FILE"]).read_text()


REGISTERED = (infer, broken, batch, queue)
