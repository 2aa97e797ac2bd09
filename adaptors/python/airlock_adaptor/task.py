"""What an adaptor is told: the task, who asked, and the configuration."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from airlock_adaptor import _host
from airlock_adaptor.errors import AdaptorError

_PATHS = {
    "Operation_ChatCompletions": "chat/completions",
    "Operation_Completions": "completions",
    "Operation_Embeddings": "embeddings",
    "Operation_Responses": "responses",
    "Operation_Messages": "messages",
}
#: The operations whose clients send forms, which stay with the gateway.
_FORMS = {"audio/transcriptions", "audio/translations", "images/edits", "images/variations"}


class Config(dict[str, Any]):
    """The `config` of a fixture: a dict whose keys are attributes too. A key that is missing is an error that the operator
    understands."""

    def __missing__(self, key: str) -> Any:
        raise AdaptorError.invalid_config(key, "is missing")

    def __getattr__(self, key: str) -> Any:
        # Names that Python itself asks for are no keys.
        if key.startswith("__"):
            raise AttributeError(key)
        return self[key]

    @classmethod
    def _parse(cls, text: str) -> Config:
        return cls(json.loads(text or "{}"))


@dataclass
class User:
    """Who a task runs for, as far as an adaptor is told. Never a token."""

    id: str
    name: str | None = None
    groups: list[str] = field(default_factory=list)
    domain: str | None = None

    @property
    def username(self) -> str:
        """FIRST's name for it."""
        return self.name or self.id

    @classmethod
    def _of(cls, user: Any) -> User | None:
        return None if user is None else cls(user.id, user.name, list(user.groups), user.domain)


@dataclass
class Task:
    """One request of a client."""

    #: The request id, which is in every log line.
    id: str
    #: Which API was called, as its path below `/v1/`: `chat/completions`.
    operation: str
    #: The model as the client named it; the endpoint's `model` is the backend's name for it.
    model: str
    #: True when the client asked for server-sent events.
    stream: bool
    user: User | None
    #: The client's JSON as it was sent.
    body: bytes

    @property
    def takes_form(self) -> bool:
        """True where the client sends a form, which stays with the gateway: the body names the model alone."""
        return self.operation in _FORMS

    def json(self) -> dict[str, Any]:
        """The client's JSON, parsed anew."""
        value: dict[str, Any] = json.loads(self.body)
        return value

    @classmethod
    def _of(cls, task: Any) -> Task:
        return cls(task.id, operation_path(task.operation), task.model, task.stream, User._of(task.user), task.body)


def operation_path(operation: Any) -> str:
    """The gateway's variant as a path."""
    return _PATHS.get(type(operation).__name__) or str(operation.value)


def operation_variant(path: str) -> Any:
    """A path as the gateway's variant."""
    for name, known in _PATHS.items():
        if path == known:
            return getattr(_host.common, name)()
    return _host.common.Operation_Other(path)
