"""Stand-ins for the generated bindings, so that adaptors run in plain CPython too: in tests, editors and type checkers.

The records have the names and fields of `wit/`; the calls go to the fake gateway that `airlock_adaptor.testing` sets.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Generic, TypeVar

E = TypeVar("E")


@dataclass(frozen=True)
class Err(Exception, Generic[E]):
    value: E


@dataclass
class EndpointInfo:
    slug: str
    cluster: str
    framework: str
    model: str
    config: str


@dataclass
class Operation_ChatCompletions: ...


@dataclass
class Operation_Completions: ...


@dataclass
class Operation_Embeddings: ...


@dataclass
class Operation_Responses: ...


@dataclass
class Operation_Messages: ...


@dataclass
class Operation_Other:
    value: str


@dataclass
class User:
    id: str
    name: str | None
    groups: list[str]
    domain: str | None


@dataclass
class Task:
    id: str
    operation: Any
    model: str
    stream: bool
    user: User | None
    body: bytes


@dataclass
class AdaptorError:
    status: int
    code: str
    message: str
    retry_after_ms: int | None


@dataclass
class UpstreamRequest:
    method: str
    url: str
    headers: list[tuple[str, str]]
    body: bytes | None
    timeout_ms: int | None


@dataclass
class Reply_Forward:
    value: UpstreamRequest


@dataclass
class Reply_Relay:
    value: Any


@dataclass
class Reply_Body:
    value: bytes


@dataclass
class Reply_Events:
    value: Any


@dataclass
class ModelInfo:
    slug: str
    framework: str
    model: str
    config: str


@dataclass
class ClusterInfo:
    name: str
    config: str
    models: list[ModelInfo]


@dataclass
class Job:
    models: str
    framework: str
    cluster: str
    extra: str


@dataclass
class Jobs:
    running: list[Job]
    queued: list[Job]
    stopped: list[Job]
    others: list[Job]
    private_batch_running: list[Job]
    private_batch_queued: list[Job]
    cluster_status: str
    cache_ms: int | None


class BatchState(enum.Enum):
    PENDING = 0
    RUNNING = 1
    COMPLETED = 2
    FAILED = 3
    CANCELLED = 4


@dataclass
class BatchInput_Content:
    value: bytes


@dataclass
class BatchInput_Path:
    value: str


@dataclass
class BatchRequest:
    id: str
    operation: Any
    model: str
    user: User | None
    input: Any
    output_folder_path: str | None


@dataclass
class SubmittedBatch:
    handle: str
    task_ids: list[str]
    state: BatchState


@dataclass
class BatchProgress:
    state: BatchState
    total: int | None
    completed: int | None
    failed: int | None
    message: str | None
    results: bytes | None


class Level(enum.Enum):
    TRACE = 0
    DEBUG = 1
    INFO = 2
    WARN = 3
    ERROR = 4


@dataclass
class StoreError_TooLarge: ...


@dataclass
class StoreError_QuotaExceeded: ...


class _Gateway:
    """What calls go to; `airlock_adaptor.testing` puts its fake here."""

    current: Any = None

    def __getattr__(self, name: str) -> Any:
        if self.current is None:
            raise RuntimeError("there is no gateway here: call the adaptor through airlock_adaptor.testing")
        return getattr(self.current, name)


gateway = _Gateway()

common = SimpleNamespace(
    EndpointInfo=EndpointInfo,
    Operation_ChatCompletions=Operation_ChatCompletions,
    Operation_Completions=Operation_Completions,
    Operation_Embeddings=Operation_Embeddings,
    Operation_Responses=Operation_Responses,
    Operation_Messages=Operation_Messages,
    Operation_Other=Operation_Other,
    User=User,
    Task=Task,
    AdaptorError=AdaptorError,
    UpstreamRequest=UpstreamRequest,
)
replies = SimpleNamespace(
    Reply_Forward=Reply_Forward, Reply_Relay=Reply_Relay, Reply_Body=Reply_Body, Reply_Events=Reply_Events
)
cluster = SimpleNamespace(Job=Job, Jobs=Jobs)
batch = SimpleNamespace(
    BatchState=BatchState,
    BatchInput_Content=BatchInput_Content,
    BatchInput_Path=BatchInput_Path,
    SubmittedBatch=SubmittedBatch,
    BatchProgress=BatchProgress,
)
upstream = SimpleNamespace(send=lambda request: gateway.send(request))
# Between two calls nobody reads the log.
logging = SimpleNamespace(Level=Level, log=lambda level, message: gateway.current and gateway.log(level, message))
key_value = SimpleNamespace(
    StoreError_TooLarge=StoreError_TooLarge,
    StoreError_QuotaExceeded=StoreError_QuotaExceeded,
    get=lambda key: gateway.get(key),
    set=lambda key, value, ttl_ms: gateway.set(key, value, ttl_ms),
    set_if_absent=lambda key, value, ttl_ms: gateway.set_if_absent(key, value, ttl_ms),
    delete=lambda key: gateway.delete(key),
)
task_body = SimpleNamespace(replace=lambda body: gateway.replace_body(body))
endpoint = SimpleNamespace(
    submit_task=lambda info, task: gateway.next_task(info, task),
    submit_streaming_task=lambda info, task: gateway.next_task(info, task),
)
