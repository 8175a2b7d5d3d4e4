"""python -m tests.simulate --seeds 1-200 --steps 200: let many worlds go by, and say which law was broken where."""

import argparse
import json
import os
import sys
import time
from collections import Counter
from dataclasses import asdict

import click

from tests.simulate.many import Told, seeds_of, tell_all

_LAST = 30


def main() -> int:
    """0: no law was broken, 1: one was."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulate", description=__doc__)
    parser.add_argument("--seeds", type=seeds_of, default="1-10", help="1-200, or 7,31")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", action="store_true", help="one document, with every tale")
    parser.add_argument("--tale", action="store_true", help="tell all that happened")
    parser.add_argument("--until-broken", action="store_true", help="stop at the first law that is broken")
    wanted = parser.parse_args()
    began, done = time.monotonic(), []
    processes = max(1, min(wanted.processes, len(wanted.seeds)))
    for told in tell_all(wanted.seeds, wanted.steps, processes):
        done.append(told)
        if not wanted.json:
            _say(told, wanted.steps, whole=wanted.tale)
        if told.broken and wanted.until_broken:
            break
    broken = sorted(told.seed for told in done if told.broken)
    rate = len(done) / (time.monotonic() - began) * 60 / processes
    if wanted.json:
        rows = [asdict(told) for told in sorted(done, key=lambda told: told.seed)]
        click.echo(json.dumps({"steps": wanted.steps, "seeds": rows, "broken": broken}))
        return 1 if broken else 0
    landed, outcomes = sum(told.landed for told in done), Counter[str]()
    for told in done:
        outcomes.update(told.outcomes)
    click.echo(
        f"{len(done)} seeds of {wanted.steps} steps, {rate:.0f} a minute and process: {landed} pull requests landed"
    )
    click.echo("history: " + ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items())))
    click.echo(f"laws were broken in {len(broken)} seeds" + (f": {', '.join(map(str, broken))}" if broken else ""))
    return 1 if broken else 0


def _say(told: Told, steps: int, *, whole: bool) -> None:
    if told.broken or whole:
        click.echo("\n".join(told.tale if whole else told.tale[-_LAST:]))
    if not told.broken:
        click.echo(f"seed {told.seed}: {told.landed} landed")
    for law in told.broken:
        click.echo(f"seed {told.seed}: {law}")
    if told.broken:
        click.echo(f"replay: python -m tests.simulate --seeds {told.seed} --steps {steps} --tale\n")


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        arguments = [sys.executable, "-m", "tests.simulate", *sys.argv[1:]]
        os.execve(sys.executable, arguments, {**os.environ, "PYTHONHASHSEED": "0"})  # noqa: S606 -- this very program
    sys.exit(main())
