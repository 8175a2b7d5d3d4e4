"""`python -m tests.bench [ID]...`: take every figure, or those named, and write `results.json` and `RESULTS.md`."""

import json
import sys
from pathlib import Path

import click

from tests.bench.areas import BENCHES
from tests.bench.frame import results, table, take

FOLDER = Path(__file__).parent


@click.command()
@click.argument("ids", nargs=-1, type=click.Choice([bench.id for bench in BENCHES]))
def main(ids: tuple[str, ...]) -> None:
    """Take figures and write them down; exit 1 when one is not what was promised."""
    file = FOLDER / "results.json"
    figures = []
    for bench in BENCHES:
        if not ids or bench.id in ids:
            figures.append(take(bench))
            ok = "" if figures[-1].ok else f"   NOT WITHIN {bench.bound:g}"
            click.echo(f"{bench.id:24} {figures[-1].value:10g} {bench.unit:4}{ok}\n    {figures[-1].how}")
    entries = results(figures, json.loads(file.read_text()) if ids and file.exists() else ())
    place = {bench.id: index for index, bench in enumerate(BENCHES)}
    entries = sorted((one for one in entries if one["id"] in place), key=lambda one: place[one["id"]])
    file.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n")
    (FOLDER / "RESULTS.md").write_text(table(entries, BENCHES))
    sys.exit(0 if all(figure.ok for figure in figures) else 1)


if __name__ == "__main__":
    main(prog_name="python -m tests.bench")
