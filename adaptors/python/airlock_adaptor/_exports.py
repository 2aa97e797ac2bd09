"""What the gateway calls: the classes that componentize-py looks for, over those that an adaptor has exported."""

from __future__ import annotations

import inspect
import json
from typing import Any

from airlock_adaptor._guard import guarded
from airlock_adaptor._run import call, run
from airlock_adaptor.batch import BatchLog, batch_data
from airlock_adaptor.cluster import BaseCluster, GetJobsResponse, Jobs, ModelInfo
from airlock_adaptor.endpoint import BaseEndpoint
from airlock_adaptor.middleware import Middleware
from airlock_adaptor.responses import SubmitStreamingTaskResponse, SubmitTaskResponse, _Response
from airlock_adaptor.task import Config, Task, User
from airlock_adaptor.upstream import Request, Response

#: What was exported.
exported: dict[str, type[Any]] = {}


def export(*adaptors: type[BaseEndpoint] | type[BaseCluster]) -> None:
    """Says which classes the component is: an endpoint or a middleware, a cluster, or one of both."""
    for adaptor in adaptors:
        if not (isinstance(adaptor, type) and issubclass(adaptor, (BaseEndpoint, BaseCluster))):
            raise TypeError(f"{adaptor!r} is no class that extends BaseEndpoint, BaseCluster or Middleware")
        kind = "cluster" if issubclass(adaptor, BaseCluster) else "endpoint"
        if exported.get(kind, adaptor) is not adaptor:
            raise TypeError(f"two classes for the {kind}: {exported[kind].__name__} and {adaptor.__name__}")
        exported[kind] = adaptor


def worlds() -> list[str]:
    """The worlds of the contract that the component is built for."""
    found = []
    endpoint = exported.get("endpoint")
    if endpoint is not None and issubclass(endpoint, Middleware):
        found.append("endpoint-middleware" if endpoint.changes_events else "request-middleware")
    elif endpoint is not None:
        has_batch = endpoint.submit_batch is not BaseEndpoint.submit_batch
        found.append("batch-endpoint-adaptor" if has_batch else "endpoint-adaptor")
    if "cluster" in exported:
        found.append("cluster-adaptor")
    return found


def _made(cls: type[Any], values: dict[str, Any], config: Config) -> Any:
    """An object of an adaptor's class, from the arguments that its constructor takes."""
    taken = inspect.signature(cls).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values())
    made = cls(**{name: value for name, value in values.items() if takes_all or name in taken})
    if "config" not in vars(made):
        made.config = config
    return made


def _endpoint(info: Any) -> Any:
    cls, config = exported["endpoint"], Config._parse(info.config)
    values = {
        "id": info.slug,
        "endpoint_slug": info.slug,
        "cluster": info.cluster,
        "framework": info.framework,
        "model": info.model,
        "endpoint_adapter": f"{cls.__module__}.{cls.__qualname__}",
        "allowed_globus_groups": [],
        "allowed_domains": [],
        "tpm_model": 0,
        "tpm_user": 0,
        "config": config,
    }
    return _made(cls, values, config)


def _reply(value: Any, stream: bool) -> Any:
    """Whatever a method gave back, for the gateway."""
    if isinstance(value, _Response):
        return value._reply()
    if isinstance(value, (Request, Response)):
        return SubmitTaskResponse(_pending=value)._reply()
    if stream:
        return SubmitStreamingTaskResponse(value)._reply()
    return SubmitTaskResponse(value)._reply()


def _run_task(info: Any, task: Any, stream: bool) -> Any:
    endpoint = _endpoint(info)
    params = json.loads(task.body)
    if isinstance(endpoint, Middleware):
        endpoint._begin(info, task)
    else:
        endpoint.task = Task._of(task)
        endpoint.user = endpoint.task.user
        params["model"] = info.model
    data = {"model_params": params}
    if stream:
        return _reply(call(endpoint.submit_streaming_task, data, optional=(task.id,)), stream)
    return _reply(call(endpoint.submit_task, data), stream)


class Endpoint:
    """The interface `endpoint`."""

    def validate(self, endpoint: Any) -> None:
        def work() -> None:
            run(_endpoint(endpoint).validate())

        guarded(work, at_run_time=False)

    def submit_task(self, endpoint: Any, task: Any) -> Any:
        return guarded(lambda: _run_task(endpoint, task, stream=False))

    def submit_streaming_task(self, endpoint: Any, task: Any) -> Any:
        return guarded(lambda: _run_task(endpoint, task, stream=True))


class Batch:
    """The interface `batch`."""

    def has_batch_enabled(self, endpoint: Any) -> bool:
        return bool(guarded(lambda: run(_endpoint(endpoint).has_batch_enabled())))

    def submit_batch(self, endpoint: Any, request: Any) -> Any:
        def work() -> Any:
            user = User._of(request.user)
            username = user.username if user else ""
            return run(_endpoint(endpoint).submit_batch(batch_data(request), username))._native()

        return guarded(work)

    def get_batch_status(self, endpoint: Any, handle: str) -> Any:
        return guarded(lambda: run(_endpoint(endpoint).get_batch_status(BatchLog._of(handle)))._native())

    def get_batch_result(self, endpoint: Any, handle: str) -> bytes:
        def work() -> bytes:
            result = run(_endpoint(endpoint).get_batch_result(BatchLog._of(handle)))
            return result.encode() if isinstance(result, str) else bytes(result)

        return guarded(work)

    def cancel_batch(self, endpoint: Any, handle: str) -> None:
        guarded(lambda: run(_endpoint(endpoint).cancel_batch(BatchLog._of(handle))))


class Cluster:
    """The interface `cluster`."""

    def get_jobs(self, cluster: Any, user: Any) -> Any:
        return guarded(lambda: _jobs(cluster, User._of(user)))


def _jobs(info: Any, user: User | None) -> Any:
    cls, config = exported["cluster"], Config._parse(info.config)
    models = [ModelInfo(each.slug, each.framework, each.model, Config._parse(each.config)) for each in info.models]
    values = {
        "id": info.name,
        "cluster_name": info.name,
        "cluster_adapter": f"{cls.__module__}.{cls.__qualname__}",
        "frameworks": sorted({model.framework for model in models}),
        "openai_endpoints": [],
        "allowed_globus_groups": [],
        "allowed_domains": [],
        "config": config,
    }
    cluster = _made(cls, values, config)
    cluster.models, cluster.user = models, user
    jobs = call(cluster.get_jobs, optional=(user,))
    if not isinstance(jobs, GetJobsResponse):
        jobs = GetJobsResponse(jobs=Jobs._of(jobs))
    return jobs._native()
