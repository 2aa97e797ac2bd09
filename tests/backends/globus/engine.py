"""A compute endpoint: Globus's own engine, whose worker processes unpack and run tasks."""

import inspect
import uuid

from globus_compute_common import messagepack
from globus_compute_common.messagepack.message_types import Task
from globus_compute_endpoint.engines import ProcessPoolEngine
from globus_compute_endpoint.engines.base import GCFuture
from globus_compute_sdk.serialize import ComputeSerializer, PureSourceTextInspect

# Code comes from registered functions; arguments may be data only, so nobody's pickle is opened.
ALLOWED = ["globus_compute_sdk.*Code", "globus_compute_sdk.serialize.JSONData"]


def register(function):
    """A function as the service stores it: its source, packed by the SDK."""
    serializer = ComputeSerializer(strategy_code=PureSourceTextInspect())
    return serializer.pack_buffers([serializer.serialize(inspect.unwrap(function))])


class Endpoint:
    """One compute endpoint, with worker processes of its own."""

    def __init__(self, folder, workers=4):
        self.id = str(uuid.uuid4())
        self.workers = workers
        self._engine = ProcessPoolEngine(max_workers=workers, allowed_serializers=ALLOWED)
        self._engine.start(endpoint_id=uuid.UUID(self.id), run_dir=folder)

    def submit(self, task_id, function, arguments, result_serializers):
        """Runs a packed function with packed arguments: a future of the engine's message."""
        task = Task(task_id=task_id, task_buffer=function + arguments)
        future = GCFuture(uuid.UUID(task_id))
        self._engine.submit(future, messagepack.pack(task), {}, result_serializers=result_serializers)
        return future


def outcome(future):
    """What the service tells of a task that has ended: its result, packed, or a traceback."""
    try:
        result = messagepack.unpack(future.result())
    except Exception as error:  # The worker itself is gone.
        return {"status": "failed", "exception": f"{type(error).__name__}: {error}"}
    if result.is_error:
        return {"status": "failed", "exception": result.data}
    return {"status": "success", "result": result.data}
