"""TOML to frozen dataclasses: what does not fit is an error that says what to write instead."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import types
import typing
from pathlib import Path
from typing import Any


def as_toml_value(text: str) -> Any:
    """A value given on the command line, read as TOML, else as text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def read(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. ValueError where it is none."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from error


def changed(whole: Any, key: str, value: Any, flag: str) -> Any:
    """A dataclass tree with one field, `section.field` or `field`, set to another value; `flag` asked for it."""
    section, _, name = key.rpartition(".")
    target = getattr(whole, section, None) if section else whole
    if not dataclasses.is_dataclass(target) or isinstance(target, type):
        sections = [k for k, v in plain(whole).items() if dataclasses.is_dataclass(v)]
        raise ValueError(
            f"{flag} {key}: there is no section {section!r}{nearest(section, sections)}"
        )
    part = tree(type(target), {**plain(target), name: value}, flag, section)
    return dataclasses.replace(whole, **{section: part}) if section else part


def plain(value: Any) -> dict[str, Any]:
    """The fields of a dataclass, one level deep."""
    return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}


def tree(kind: Any, data: dict[str, Any], place: str, prefix: str) -> Any:
    """The dataclass `kind` from a table; ValueError names `place`, the key and the nearest valid one."""
    hints = typing.get_type_hints(kind)
    inner = isinstance(data.get("folder"), Path)  # TOML has no paths: the field is not the user's
    known = {f.name: f for f in dataclasses.fields(kind) if f.name != "folder" or inner}
    for key in data:
        if key not in known:
            where = f"{prefix}.{key}" if prefix else key
            raise ValueError(f"{place}: unknown key {where!r}{nearest(key, list(known))}")
    missing = [
        name for name, f in known.items()
        if name not in data and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]  # fmt: skip
    if missing:
        raise ValueError(f"{place}: {prefix or 'the recipe'} needs {', '.join(missing)}")
    made = {
        k: _value(hints[k], v, place, f"{prefix}.{k}" if prefix else k) for k, v in data.items()
    }
    return kind(**made)


def _value(hint: Any, value: Any, place: str, key: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, type) and isinstance(value, hint) and not (
        hint in (int, float) and isinstance(value, bool)
    ):  # fmt: skip
        return value
    if origin is types.UnionType:
        return value if value is None else _value(args[0], value, place, key)
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return tree(hint, value, place, key)
    if origin is tuple and isinstance(value, (list, tuple)):
        return tuple(_value(args[0], item, place, f"{key}[{i}]") for i, item in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {str(k): _value(args[1], v, place, f"{key}.{k}") for k, v in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if origin is tuple and isinstance(value, dict):
        raise ValueError(f"{place}: [{key}] must be written [[{key}]]: there can be several")
    wanted = _PLAIN_WORDS.get(origin or hint, "a table")
    raise ValueError(f"{place}: {key} is {value!r}; it must be {wanted}")


_PLAIN_WORDS = {str: "text in quotes", int: "a whole number", float: "a number",
                bool: "true or false", tuple: "a list"}  # fmt: skip


def nearest(word: str, known: typing.Sequence[str]) -> str:
    """Advice for a word that is not among the known ones."""
    near = difflib.get_close_matches(word, known, 1, 0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; choose one of {', '.join(known)}"
