"""pydantic, as far as adaptors use it: models whose fields are filled in. Types are written down and not checked, but for
fields that are missing, and for models within models."""

from __future__ import annotations

import json
import typing
from typing import Any

_NOTHING: Any = object()
ConfigDict = dict


class ValidationError(ValueError):
    """A field is missing."""


class _Field:
    def __init__(self, default: Any, factory: Any):
        self.default, self.factory = default, factory


def Field(default: Any = _NOTHING, *, default_factory: Any = None, **_: Any) -> Any:
    """A field's default."""
    return _Field(_NOTHING if default is ... else default, default_factory)


class BaseModel:
    """A model."""

    model_config = {}

    def __init__(self, **values: Any):
        for name, kind in self._fields().items():
            if name in values:
                setattr(self, name, _filled(kind, values.pop(name)))
                continue
            default = getattr(type(self), name, _NOTHING)
            if isinstance(default, _Field):
                default = default.factory() if default.factory else default.default
            if default is _NOTHING:
                raise ValidationError(f"{type(self).__name__}: the field `{name}` is missing")
            setattr(self, name, default)
        if self.model_config.get("extra") == "allow":
            vars(self).update(values)

    @classmethod
    def _fields(cls) -> dict[str, Any]:
        return {name: kind for name, kind in typing.get_type_hints(cls).items() if name != "model_config"}

    @classmethod
    def model_validate(cls, value: Any) -> Any:
        """From a dict."""
        return value if isinstance(value, cls) else cls(**value)

    @classmethod
    def model_validate_json(cls, text: str | bytes) -> Any:
        """From JSON."""
        return cls(**json.loads(text))

    def model_dump(self, exclude_none: bool = False, **_: Any) -> dict[str, Any]:
        """As a dict."""
        return {name: _plain(value) for name, value in vars(self).items() if not (exclude_none and value is None)}

    def model_dump_json(self, **options: Any) -> str:
        """As JSON."""
        return json.dumps(self.model_dump(**options))

    dict = model_dump
    json = model_dump_json

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump()
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _filled(kind: Any, value: Any) -> Any:
    """A dict as the model that the type says, in lists and optional types too."""
    if isinstance(kind, type) and issubclass(kind, BaseModel) and isinstance(value, dict):
        return kind(**value)
    inner = typing.get_args(kind)
    if typing.get_origin(kind) is list and inner and isinstance(value, list):
        return [_filled(inner[0], item) for item in value]
    if type(None) in inner and value is not None:
        return _filled(next(each for each in inner if each is not type(None)), value)
    return value
