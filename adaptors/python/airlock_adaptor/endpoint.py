"""Endpoints: what runs tasks on one backend."""

from __future__ import annotations

from typing import Any

from airlock_adaptor import upstream
from airlock_adaptor.batch import BatchLog, GetBatchStatusResponse, SubmitBatchResponse
from airlock_adaptor.errors import AdaptorError
from airlock_adaptor.task import Config, Task, User

#: The words of a status page for a model that runs.
LIVE = ("live", "ok", "ready", "running")


class GetEndpointStatusResponse:
    """Whether the model runs: `error_message` and `error_code` where it does not."""

    def __init__(self, status: str | None = None, error_message: str | None = None, error_code: int | None = None):
        self.status = status
        self.error_message = error_message
        self.error_code = error_code


class BaseEndpoint:
    """An endpoint of your own. Define `submit_task` and `submit_streaming_task`, `async` or not.

    One object is made for each call, with FIRST's constructor arguments; nothing stays in memory between two calls.
    """

    #: The configuration of the fixture.
    config: Any
    #: What is asked for; None in `validate` and in batches.
    task: Task | None = None
    #: Who asks, as far as the gateway tells.
    user: User | None = None

    def __init__(
        self,
        id: str = "",
        endpoint_slug: str = "",
        cluster: str = "",
        framework: str = "",
        model: str = "",
        endpoint_adapter: str = "",
        allowed_globus_groups: list[str] | None = None,
        allowed_domains: list[str] | None = None,
        config: dict[str, Any] | None = None,
    ):
        self.id = id
        self.endpoint_slug = endpoint_slug
        self.cluster = cluster
        self.framework = framework
        self.model = model
        self.endpoint_adapter = endpoint_adapter
        # The gateway has checked both before the adaptor is asked.
        self.allowed_globus_groups = allowed_globus_groups
        self.allowed_domains = allowed_domains
        if config is not None:
            self.config = config if isinstance(config, Config) else Config(config)

    def validate(self) -> None:
        """Called once when the endpoint is loaded, without network. Raise `AdaptorError.invalid_config` for mistakes."""

    async def submit_task(self, data: dict[str, Any]) -> Any:
        """Runs a task whose client wants one complete answer. `data["model_params"]` is the client's JSON, with the
        endpoint's name of the model. Give back a `SubmitTaskResponse`, or what could stand in one."""
        raise AdaptorError(501, "unsupported_operation", "this model's adaptor takes no tasks")

    async def submit_streaming_task(self, data: dict[str, Any], request_log_id: str = "") -> Any:
        """Runs a task whose client wants events. Give back a `SubmitStreamingTaskResponse`, or yield the events."""
        raise AdaptorError(400, "unsupported_operation", "this model's adaptor does not stream: leave `stream` out")

    async def get_endpoint_status(self) -> GetEndpointStatusResponse:
        """Whether the model runs, by the page at `status_url` of the configuration; without one it is taken to run.

        The page is empty, a word, `{"status": "Live"}`, or a list or an object of models whose entries have a `status`.
        """
        url = dict.get(self.config, "status_url")
        if url is None:
            return GetEndpointStatusResponse(status="unknown")
        response = upstream.get(url, timeout=10)
        response.raise_for_status()
        status = status_of(response.json(), self.model) if response.read().strip() else "ok"
        if status is not None and status.lower() in LIVE:
            return GetEndpointStatusResponse(status=status)
        message = f"the model {self.model} is {status or 'not listed'}: try again later"
        return GetEndpointStatusResponse(status, message, 503)

    def has_batch_enabled(self) -> bool:
        """Whether this endpoint takes batches, by its configuration. Without network."""
        return False

    async def submit_batch(self, batch_data: dict[str, Any], username: str) -> SubmitBatchResponse:
        """Starts a batch. `batch_data` has `id`, `model`, `operation`, `output_folder_path`, and `input_file`, a path
        on the cluster, or `input`, the JSON lines themselves."""
        raise AdaptorError(400, "batch_unavailable", "this model's adaptor takes no batches")

    async def get_batch_status(self, batch: BatchLog) -> GetBatchStatusResponse:
        """Asks how far a batch has got; with its results where they come together."""
        raise AdaptorError(400, "batch_unavailable", "this model's adaptor takes no batches")

    async def get_batch_result(self, batch: BatchLog) -> str | bytes:
        """The results of a completed batch, where `get_batch_status` gave none."""
        raise AdaptorError(502, "batch_failed", "the batch is complete, and its adaptor reads no results")

    async def cancel_batch(self, batch: BatchLog) -> None:
        """Asks a batch to stop."""
        raise AdaptorError(400, "unsupported_operation", "this model's adaptor cannot stop a batch")


def status_of(page: Any, model: str) -> str | None:
    """What a status page says of a model; None where it does not name it."""
    if isinstance(page, str):
        return page
    if isinstance(page, list):
        return next((_word(entry) for entry in page if _names(entry, model)), None)
    if not isinstance(page, dict):
        return None
    if _word(page.get(model)) is not None:
        return _word(page[model])
    for entry in page.values():
        if _names(entry, model):
            return _word(entry)
    for key in ("data", "models"):
        if isinstance(page.get(key), (list, dict)):
            return status_of(page[key], model)
    return _word(page)


def _word(entry: Any) -> str | None:
    word = entry.get("status") if isinstance(entry, dict) else entry
    return word if isinstance(word, str) else None


def _names(entry: Any, model: str) -> bool:
    if not isinstance(entry, dict):
        return False
    is_listed = any(isinstance(entry.get(key), list) and model in entry[key] for key in ("models", "experts"))
    return is_listed or model in [entry.get(key) for key in ("model", "id", "name")]
