"""Middlewares: what stands in front of another endpoint."""

from __future__ import annotations

import json
from typing import Any

from airlock_adaptor import _host
from airlock_adaptor.endpoint import BaseEndpoint
from airlock_adaptor.errors import AdaptorError
from airlock_adaptor.responses import SubmitStreamingTaskResponse, SubmitTaskResponse
from airlock_adaptor.task import Config, Task
from airlock_adaptor.upstream import encode


class Next:
    """The endpoint behind a middleware."""

    def __init__(self, info: Any, task: Any):
        self._info, self._task = info, task
        #: Its configuration. A change sends the task elsewhere; what may be reached stays what the fixture says.
        self.config = Config._parse(info.config)

    async def submit_task(self, data: dict[str, Any]) -> SubmitTaskResponse:
        """Hands the task on, with the body of `data["model_params"]`. The answer goes to the client as it is unless you
        look into it."""
        return SubmitTaskResponse(_pending=self._call(_host.endpoint.submit_task, data))

    async def submit_streaming_task(self, data: dict[str, Any], request_log_id: str = "") -> SubmitStreamingTaskResponse:
        """The same for a task whose client wants events."""
        return SubmitStreamingTaskResponse(_pending=self._call(_host.endpoint.submit_streaming_task, data))

    def _call(self, function: Any, data: dict[str, Any]) -> Any:
        info, task, common = self._info, self._task, _host.common
        body = encode(data.get("model_params", data))
        # Bytes that say the same are the client's own: they are not sent a second time.
        if body == encode(json.loads(task.body)):
            body = task.body
        else:
            _host.task_body.replace(body)
        info = common.EndpointInfo(info.slug, info.cluster, info.framework, info.model, encode(self.config).decode())
        task = common.Task(task.id, task.operation, task.model, task.stream, task.user, body)
        try:
            return function(info, task)
        except _host.Err as error:
            raise AdaptorError._of(error.value) from None


class Middleware(BaseEndpoint):
    """Stands in front of another endpoint: `self.next`. Define what you want to change; the rest goes through.

    `data["model_params"]` is the client's JSON as it came, with the client's name of the model.
    """

    next: Next
    #: True in a subclass that looks into events or makes some, which is built for another world of the contract.
    changes_events = False

    async def submit_task(self, data: dict[str, Any]) -> Any:
        return await self.next.submit_task(data)

    async def submit_streaming_task(self, data: dict[str, Any], request_log_id: str = "") -> Any:
        return await self.next.submit_streaming_task(data, request_log_id)

    def _begin(self, info: Any, task: Any) -> None:
        self.next = Next(info, task)
        self.task = Task._of(task)
        self.user = self.task.user
