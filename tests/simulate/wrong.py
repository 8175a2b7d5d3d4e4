"""Small wrong patches to mergeq, each of which breaks a law sooner or later: what the simulation is worth."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_BESIDE = ("tests", "webui", "schemas", "policies", "deploy")


@dataclass(frozen=True, slots=True)
class Wrong:
    """A mistake somebody could make: in a file of mergeq, `old` text replaced by `new`; found within `seeds`."""

    name: str
    file: str
    old: str
    new: str
    seeds: str = "1-20"


WRONG = (
    Wrong(
        "a run is green as soon as anything was read",
        "core/batch.py",
        "if run.contexts is not None and not bad:",
        "if run.contexts is not None:",
    ),
    Wrong(
        "contexts of staged commits alone are not waited for",
        "core/batch.py",
        "awaited = (own.required - only_head) | settings.queue.staging_contexts",
        "awaited = own.required - only_head",
    ),
    Wrong(
        "nobody is judged again right before landing",
        "execute.py",
        "    if standing.reasons:\n",
        "    if not standing:\n",
    ),
    Wrong(
        "a pull request is merged whatever its head is by then",
        "github/client.py",
        'body = {"sha": head_sha, "merge_method": method.value,',
        'body = {"merge_method": method.value,',
    ),
    Wrong(
        "the tree that landed is not compared",
        "execute.py",
        "    if landing.landed_tree != expected:\n",
        "    if not landing.landed_tree:\n",
    ),
    Wrong(
        "the commit that it landed on is not compared",
        "execute.py",
        "    if landing.line[-1] != base_sha:\n",
        "    if not landing.line[-1]:\n",
    ),
    Wrong(
        "a merge without an answer is asked for again",
        "execute.py",
        "            case MergeVerdict.UNKNOWN:\n                landing =",
        "            case MergeVerdict.UNKNOWN if number:\n                services.sleep(1.0)\n"
        "            case MergeVerdict.UNKNOWN:\n                landing =",
    ),
    Wrong(
        "approvals given to an earlier head count",
        "core/pool.py",
        "            *voided(pull, settings, arrival),\n",
        "",
    ),
    Wrong(
        "whoever lost the lease writes on",
        "store/scripts.py",
        "local dirty = redis.call('ZSCORE', KEYS[1], ARGV[1])\n",
        "local dirty = 1\nif true then return 7 end\n",
    ),
    Wrong(
        "statuses that nobody is known to wait for are not written",
        "sync.py",
        "rest = [one for one in changed if not one.is_urgent][:STATUS_BURST]",
        "rest = [one for one in changed if not one.is_urgent][:0]",
    ),
    Wrong(
        "staging refs are left behind",
        "stage.py",
        "if ref in kept or now - at < keep:",
        "if ref in kept or now - at < keep * 1000:",
    ),
)


def spoilt(wrong: Wrong) -> str:
    """The file with the mistake in it; raises ValueError where the text to be replaced is not there once."""
    text = (_ROOT / "mergeq" / wrong.file).read_text()
    if text.count(wrong.old) != 1:
        raise ValueError(f"{wrong.name}: the text to be replaced is {text.count(wrong.old)} times in {wrong.file}")
    return text.replace(wrong.old, wrong.new)


def found(wrong: Wrong, folder: Path, processes: int = 1) -> "subprocess.CompletedProcess[str]":
    """Let seeds go by in a copy of mergeq with the mistake, made in an empty folder, until a law is broken: then it
    exits with 1 and says which.
    """
    asked = ["--seeds", wrong.seeds, "--until-broken", "--processes", str(processes)]
    return run(wrong, folder, "tests.simulate", *asked)


def run(wrong: Wrong, folder: Path, module: str, *asked: str) -> "subprocess.CompletedProcess[str]":
    """Run a module of the tests on a copy of mergeq with the mistake, made in an empty folder."""
    shutil.copytree(_ROOT / "mergeq", folder / "mergeq", ignore=shutil.ignore_patterns("__pycache__"))
    for name in _BESIDE:
        (folder / name).symlink_to(_ROOT / name)
    (folder / "mergeq" / wrong.file).write_text(spoilt(wrong))
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-m", module, *asked],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
