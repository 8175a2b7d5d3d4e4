"""The JSON Schemas that travel with the code: what there is, each in one piece, and checking against one."""

import functools
import json
import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

import jsonschema

from mergeq import shipped

_SUFFIX = ".schema.json"


def titles() -> dict[str, str]:
    """What each schema is of, by its name, which is that of its file without `.schema.json`."""
    files = sorted(shipped("schemas").glob(f"*{_SUFFIX}"))
    return {file.name.removesuffix(_SUFFIX): json.loads(file.read_bytes())["title"] for file in files}


def schema(name: str) -> dict[str, Any]:
    """A schema by its name, what it takes from other files put under its `$defs`, so that it stands for itself.

    Raises LookupError, which says what was perhaps meant.
    """
    if name not in (known := titles()):
        near = get_close_matches(name, known, n=1)
        raise LookupError(f"no schema is called {name!r}; " + (f"did you mean {near[0]!r}?" if near else "list them"))
    found = _read(name)
    waiting = _foreign(found)
    whole: dict[str, Any] = _renamed(found, _inside(found))
    definitions = whole.setdefault("$defs", {}) if waiting else {}
    while waiting:
        _, other = waiting.popitem()
        if other not in definitions:
            part = _read(other)
            waiting |= _foreign(part)
            outer, inner = _inside(part), part.pop("$defs", {})
            names = outer | {f"#/$defs/{one}": f"#/$defs/{other}.{one}" for one in inner}
            del part["$schema"], part["$id"]
            definitions[other] = _renamed(part, names)
            definitions |= {f"{other}.{one}": _renamed(node, names) for one, node in inner.items()}
    return whole


def _foreign(found: dict[str, Any]) -> dict[str, str]:
    """The references of a schema to other files, and the names of these."""
    return {ref: ref.removesuffix(_SUFFIX) for ref in _refs(found) if not ref.startswith("#")}


def _inside(found: dict[str, Any]) -> dict[str, str]:
    """Where what a schema takes from other files is to be found once all is in one piece."""
    return {ref: f"#/$defs/{other}" for ref, other in _foreign(found).items()}


@functools.cache
def validator(name: str) -> Any:
    """What checks values against a schema, `pattern` having JSON Schema's meaning of `$`: the very end, not before a
    last line break as in Python.
    """
    checked = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"pattern": _pattern})  # type: ignore[no-untyped-call]
    return checked(schema(name))


def _pattern(_: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[jsonschema.ValidationError]:
    if isinstance(instance, str) and not re.fullmatch(pattern, instance):
        yield jsonschema.ValidationError(f"{instance!r} is not written as it must be")


def _read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((shipped("schemas") / f"{name}{_SUFFIX}").read_bytes())
    return found


def _refs(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key == "$ref" and isinstance(value, str))
        yield from (ref for child in node.values() for ref in _refs(child))
    elif isinstance(node, list):
        yield from (ref for child in node for ref in _refs(child))


def _renamed(node: Any, names: dict[str, str]) -> Any:
    """The same with other names for what it refers to."""
    if isinstance(node, dict):
        return {
            key: names.get(value, value) if key == "$ref" and isinstance(value, str) else _renamed(value, names)
            for key, value in node.items()
        }
    return [_renamed(child, names) for child in node] if isinstance(node, list) else node
