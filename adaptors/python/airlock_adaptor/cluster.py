"""Clusters: what reports which models run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airlock_adaptor import _host
from airlock_adaptor.errors import AdaptorError
from airlock_adaptor.task import Config, User
from airlock_adaptor.upstream import encode

#: The lists of a report, by FIRST's names.
LISTS = ("running", "queued", "stopped", "others", "private_batch_running", "private_batch_queued")


class JobInfo(dict[str, Any]):
    """One job: `Models`, `Framework`, `Cluster`, and any further field, which reaches the client unchanged."""

    def __init__(self, *args: Any, **fields: Any):
        super().__init__(*args, **fields)

    def __getattr__(self, key: str) -> Any:
        try:
            return self[key]
        except KeyError:
            raise AttributeError(key) from None

    def _native(self) -> Any:
        extra = {key: value for key, value in self.items() if key not in ("Models", "Framework", "Cluster")}
        models = self.get("Models", "N/A")
        models = ",".join(map(str, models)) if isinstance(models, (list, tuple)) else str(models)
        framework, cluster = str(self.get("Framework", "N/A")), str(self.get("Cluster", "N/A"))
        return _host.cluster.Job(models, framework, cluster, encode(extra).decode())


@dataclass
class Jobs:
    """The state of a cluster. A job is a `JobInfo` or a dict."""

    running: list[Any] = field(default_factory=list)
    queued: list[Any] = field(default_factory=list)
    stopped: list[Any] = field(default_factory=list)
    others: list[Any] = field(default_factory=list)
    private_batch_running: list[Any] = field(default_factory=list)
    private_batch_queued: list[Any] = field(default_factory=list)
    cluster_status: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def _of(cls, report: Any) -> Jobs:
        """From what a backend says; lists that it leaves out are empty."""
        if isinstance(report, cls):
            return report
        if not isinstance(report, Mapping):
            raise _unusable(f"it is a {type(report).__name__}, and not an object of lists of jobs")
        jobs = cls(**{name: report.get(name) or [] for name in LISTS}, cluster_status=report.get("cluster_status") or {})
        for name in LISTS:
            entries = getattr(jobs, name)
            if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
                raise _unusable(f"`{name}` is not a list of jobs")
        return jobs

    def _native(self, cache_seconds: float | None) -> Any:
        lists = [[JobInfo(entry)._native() for entry in getattr(self, name)] for name in LISTS]
        cache_ms = None if cache_seconds is None else int(cache_seconds * 1000)
        return _host.cluster.Jobs(*lists, encode(self.cluster_status).decode(), cache_ms)


def _unusable(why: str) -> AdaptorError:
    return AdaptorError(502, "upstream_bad_response", f"the cluster's status could not be read: {why}")


class GetJobsResponse:
    """A report, or an error.

    Args:
        jobs: a `Jobs`, or a dict with its lists; what a backend says in FIRST's form can be handed on as it is.
        error_message: what went wrong.
        error_code: the HTTP status of the error; 500 where it is left out.
        cache_seconds: for how long the gateway may show this report to all; without it, it asks again for each caller.
    """

    def __init__(
        self,
        jobs: Jobs | Mapping[str, Any] | None = None,
        error_message: str | None = None,
        error_code: int | None = None,
        *,
        cache_seconds: float | None = None,
    ):
        self.jobs = None if jobs is None else Jobs._of(jobs)
        self.error_message = error_message
        self.error_code = error_code
        self.cache_seconds = cache_seconds

    def _native(self) -> Any:
        if self.error_message is not None:
            raise AdaptorError(self.error_code or 500, "failed_to_get_cluster_jobs", self.error_message)
        if self.jobs is None:
            raise AdaptorError(502, "adaptor_bad_output", "the adaptor gave neither jobs nor an error")
        return self.jobs._native(self.cache_seconds)


@dataclass
class ModelInfo:
    """One endpoint of the cluster, as the catalog has it."""

    slug: str
    framework: str
    model: str
    config: Config


class BaseCluster:
    """A cluster of your own. Define `get_jobs`, `async` or not. One object is made for each call."""

    #: The configuration of the fixture.
    config: Any
    #: The endpoints of the cluster.
    models: list[ModelInfo]
    #: Who asks, as far as the gateway tells.
    user: User | None = None

    def __init__(
        self,
        id: str = "",
        cluster_name: str = "",
        cluster_adapter: str = "",
        frameworks: list[str] | None = None,
        openai_endpoints: list[str] | None = None,
        allowed_globus_groups: list[str] | None = None,
        allowed_domains: list[str] | None = None,
        config: dict[str, Any] | None = None,
    ):
        self.id = id
        self.cluster_name = cluster_name
        self.cluster_adapter = cluster_adapter
        self.frameworks = frameworks or []
        # The gateway alone knows what the cluster offers, and who may use it.
        self.openai_endpoints = openai_endpoints or []
        self.allowed_globus_groups = allowed_globus_groups or []
        self.allowed_domains = allowed_domains or []
        if config is not None:
            self.config = config if isinstance(config, Config) else Config(config)

    async def get_jobs(self) -> Any:
        """What the cluster is running: a `GetJobsResponse`, or what could stand in one."""
        raise AdaptorError(501, "unsupported_operation", "this cluster's adaptor reports no jobs")
