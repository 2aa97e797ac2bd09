"""Globus Compute on this machine: an HTTP front of our own before Globus's own engine and serializer.

Prints where it is and what is registered, as JSON, when it answers. Standard input is not read. The environment is the
workers' too: OPENAI_BASE_URL, OPENAI_API_KEY, QUEUE_FILE and INTERNAL_STREAMING_SECRET are for the functions.
"""

import json
import tempfile
import uuid

import engine
import front
import functions
from service import Service

# The second one is nobody's but the front's own tests', so that they use up no budget but theirs.
CLIENTS = {"airlock": "secret-of-airlock", "another": "secret-of-another"}


def wake_up(endpoint, function):
    """Runs a task, so that the workers are forked before there are threads."""
    arguments = "5\n11\n[]5\n11\n{}"
    ended = engine.outcome(endpoint.submit(str(uuid.uuid4()), function, arguments, None))
    if ended["status"] != "success":
        raise SystemExit(f"the engine does not run: {ended}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        endpoint = engine.Endpoint(folder)
        packed = {function.__name__: engine.register(function) for function in functions.REGISTERED}
        wake_up(endpoint, packed["queue"])
        ids = {name: str(uuid.uuid4()) for name in packed}
        service = Service(CLIENTS, [endpoint], {ids[name]: packed[name] for name in packed})
        server = front.serve(service)
        told = {
            "url": f"http://127.0.0.1:{server.server_port}",
            "endpoint": endpoint.id,
            "functions": ids,
            "client": list(CLIENTS.items())[0],
            "other_client": list(CLIENTS.items())[1],
        }
        print(json.dumps(told), flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
