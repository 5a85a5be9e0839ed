"""Units as plain JSON, for ranks that share nothing but a folder: records and functions of curation's only."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path
from typing import Any


def encoded(value: Any) -> Any:
    """A unit as plain JSON: records carry the name of their class, which must be one of curation's."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        inner = {f.name: encoded(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"class": name_of(type(value)), "fields": inner}
    if hasattr(value, "_asdict"):
        inner = {key: encoded(item) for key, item in value._asdict().items()}
        return {"class": name_of(type(value)), "fields": inner}
    if isinstance(value, tuple):
        return [encoded(item) for item in value]
    if isinstance(value, Path):
        return {"path": str(value)}
    assert value is None or isinstance(value, (str, int, float, bool)), f"{value!r} in a unit"
    return value


def decoded(value: Any) -> Any:
    """What `encoded` made, as it was."""
    if isinstance(value, list):
        return tuple(decoded(item) for item in value)
    if isinstance(value, dict) and "path" in value:
        return Path(value["path"])
    if isinstance(value, dict):
        kind = named(value["class"])
        return kind(**{key: decoded(item) for key, item in value["fields"].items()})
    return value


def name_of(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def named(name: str) -> Any:
    """A function or class of curation by `module:name`; nothing else can be named in a unit."""
    module, _, thing = name.partition(":")
    if not module.startswith("curation."):
        raise ValueError(f"{name} is not one of curation's")
    return getattr(importlib.import_module(module), thing)
