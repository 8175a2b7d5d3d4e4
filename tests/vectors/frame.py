"""How one golden vector is answered and compared: what an operation is, and the configuration of a line.

An area of vectors is a module beside this one with two mappings, `OPS` by the `op` of a line and `GO` by its `func`
(a recorded Go function); both have an `Op` for each name. `areas.py` lists the areas.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from mergeq.config import ConfigError, Configuration, load_texts
from mergeq.config.documents import Document, read
from mergeq.config.policy import configuration_of
from mergeq.core.compat import Compat
from mergeq.core.pool import BranchSettings
from mergeq.core.pull import Branch

Line = Mapping[str, Any]


def differences(expected: Any, got: Any, at: str = "") -> Iterator[str]:
    """Where two JSON values differ, a line each. As Go writes them: what is null or empty may as well be left out."""
    if _is_nothing(expected) and _is_nothing(got):
        return
    if isinstance(expected, dict) and isinstance(got, dict):
        for key in sorted({*expected, *got}):
            yield from differences(expected.get(key), got.get(key), f"{at}.{key}" if at else key)
    elif isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        for index, (one, other) in enumerate(zip(expected, got, strict=True)):
            yield from differences(one, other, f"{at}[{index}]")
    elif type(expected) is not type(got) or expected != got:
        yield f"{at or 'answer'}: expected {_short(expected)}, got {_short(got)}"


@dataclass(frozen=True, slots=True)
class Op:
    """One operation: `answer` makes of a line what should equal its `expect`, and raises ConfigError where the
    configuration of the line cannot be used; `compare` says where the two differ, given (expect, answer).
    """

    answer: Callable[[Line], Any]
    compare: Callable[[Any, Any], Iterator[str]] = differences


def judge(op: Op, line: Line) -> tuple[Any, tuple[str, ...]]:
    """The answer to a line, and where it differs from what is expected. Of a refused configuration only that it is
    refused is compared.
    """
    try:
        got = op.answer(line)
    except ConfigError as error:
        refused = f"load_error: expected none, got {_short(str(error))}"
        return {"load_error": str(error)}, () if line.get("load_error") else (refused,)
    except Exception as error:  # noqa: BLE001 -- what breaks on one line is a failure of that line
        return None, (f"broke: {type(error).__name__}: {_short(str(error))}",)
    if line.get("load_error"):
        return got, (f"load_error: expected {_short(line['load_error'])}, got none",)
    return got, tuple(op.compare(line["expect"], got))


def configuration(line: Line) -> Configuration:
    """The configuration of a line. Raises ConfigError. Kept are those in files, which many lines share, and the last of
    those in a line, which is answered in several ways.
    """
    if "config_path" in line:
        shards = tuple(sorted(line.get("supplemental_paths") or (), key=_walked))
        folder = line["configs"]
        return _configuration_in(folder / line["config_path"], line["config_sha256"], line["mode"], shards)
    texts = [("config.yaml", line.get("config_yaml"), True), ("jobs.yaml", line.get("jobs_yaml"), False)]
    texts += [
        (name, text, False)
        for name, text in sorted((line.get("supplemental") or {}).items(), key=lambda one: _walked(one[0]))
    ]
    return _configuration_of(tuple((name, text, is_main) for name, text, is_main in texts if text is not None))


def settings_of(line: Line, found: Configuration, branch: Branch) -> BranchSettings:
    """The settings of a branch as Tide reads them, with those differences of ours that the line is to be answered with:
    names from DIFFERENCES, all of them being production's own settings.
    """
    settings, ours = found.for_branch(branch, Compat.TIDE), found.for_branch(branch)
    for name in line.get("differences", ()):
        settings = DIFFERENCES[name](settings, ours)
    return settings


def _reading(tide: BranchSettings, ours: BranchSettings) -> BranchSettings:
    return replace(ours, queue=tide.queue, refusal=tide.refusal)


def _refusal(tide: BranchSettings, ours: BranchSettings) -> BranchSettings:
    return replace(tide, refusal=ours.refusal)


def _retest(tide: BranchSettings, ours: BranchSettings) -> BranchSettings:
    return replace(tide, queue=replace(tide.queue, retest=ours.queue.retest))


def _empty_contexts(tide: BranchSettings, ours: BranchSettings) -> BranchSettings:
    return replace(tide, queue=replace(tide.queue, empty_contexts=ours.queue.empty_contexts))


def _others(tide: BranchSettings, ours: BranchSettings) -> BranchSettings:
    kept = replace(ours.queue, retest=tide.queue.retest, empty_contexts=tide.queue.empty_contexts)
    return replace(tide, queue=kept)


DIFFERENCES: Mapping[str, Callable[[BranchSettings, BranchSettings], BranchSettings]] = {
    "reading": _reading,
    "refusal": _refusal,
    "retest": _retest,
    "empty_contexts": _empty_contexts,
    "others": _others,
}
"""What production does not do as Tide does; all together are its own settings. ARCHITECTURE.md has the reasons."""


def compat_of(line: Line) -> Compat:
    """Whose reading of the facts a line is to be answered with."""
    return Compat.MERGEQ if "reading" in line.get("differences", ()) else Compat.TIDE


def _walked(path: str) -> tuple[str, ...]:
    """What orders files as a walk through the folders does."""
    return PurePosixPath(path).parts


@lru_cache(maxsize=1)
def _configuration_of(texts: tuple[tuple[str, str, bool], ...]) -> Configuration:
    return load_texts(texts, "config.yaml")


@lru_cache(maxsize=2)
def _configuration_in(file: Path, sha256: str, mode: str, shards: tuple[str, ...]) -> Configuration:
    if hashlib.sha256(file.read_bytes()).hexdigest() != sha256:
        raise BrokenVectors(f"{file}: is not the file that the vectors were made from")
    kept = {
        "full": None,
        "reduced": ("tide", "branch-protection", "presubmits"),
        "reduced-no-jobs": ("tide", "branch-protection"),
    }[mode]
    beside = (file.parent / shard.replace("/", "__") for shard in shards)
    documents = [(_reduced(read(file), kept), True), *((read(shard), False) for shard in beside)]
    return configuration_of(documents, [], str(file))


def _reduced(document: Document, kept: tuple[str, ...] | None) -> Document:
    if kept is None or not isinstance(document.value, dict):
        return document
    return replace(document, value={key: value for key, value in document.value.items() if key in kept})


class BrokenVectors(Exception):
    """Vectors that cannot be read, in one line."""


def _is_nothing(value: Any) -> bool:
    return value is None or value in ([], {})


def _short(value: Any) -> str:
    shown = json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    return shown if len(shown) <= 160 else shown[:157] + "..."
