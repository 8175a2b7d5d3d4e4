"""Pictures of every page while a demonstration runs: ``make screenshots``."""

import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from mergeq import shipped
from tests.browser import DESKTOP, MISSING, PHONE, Browser, found
from tests.journeys.test_processes_together import eventually, running

CROWD = """
tide:
  queries:
    - repos: [acme/observatory]
      labels: [lgtm, approved]
      missingLabels: [do-not-merge/hold]
  context_options: {required-contexts: [ci/test, e2e]}
mergeq:
  queue: {retest: staging, batch_size_limit: 8}
"""
README_HEIGHT = 960


def main(folder: Path) -> None:
    """Write the pictures to a folder, and the one that the README shows. Exit code 1 when there is no browser."""
    if (program := found()) is None:
        sys.exit(MISSING)
    folder.mkdir(parents=True, exist_ok=True)
    with Browser(program) as browser, demonstration() as (pages, table):
        wait_for(lambda: seen(f"{pages}/tide").count('class="tested"') >= 5)
        browser.look(DESKTOP, height=README_HEIGHT)
        browser.open(f"{pages}/tide")
        browser.picture(shipped("webui") / "screenshot.png", whole=False)
        take(browser, folder, "queue-busy", f"{pages}/tide")
        take(browser, folder, "pull-tested", f"{pages}/pr/acme/rocket/8")
        if not any("The pages stay up" in line for line in table):
            sys.exit("the demo ended before its time; `make demo` says why")
        for name, path in (
            ("queue", "/tide"),
            ("history", "/tide-history"),
            ("history-empty", "/tide-history?state=WRONG_TREE"),
            ("pull-red", "/pr/acme/rocket/8"),
            ("pull-landed", "/pr/acme/guidebook/4"),
            ("protection", "/protection"),
            ("protection-repo", "/protection/acme/guidebook"),
            ("not-found", "/pr/acme/rocket/999"),
        ):
            take(browser, folder, name, pages + path)
    with tempfile.TemporaryDirectory() as home, Browser(program) as browser:
        config = Path(home) / "config.yaml"
        config.write_text(CROWD)
        with demonstration("--config", str(config), "--prs", "75") as (pages, _):
            wait_for(lambda: seen(f"{pages}/tide").count('class="tested"') >= 5)
            take(browser, folder, "queue-crowd", f"{pages}/tide")
    print(f"{len(list(folder.glob('*.png')))} pictures in {folder}")  # noqa: T201 -- a program's answer


@contextmanager
def demonstration(*arguments: str) -> Iterator[tuple[str, Iterable[str]]]:
    """A demo that runs: where its pages are, and the lines that it prints at its end."""
    with running("demo", "--port", "0", *arguments) as child:
        if child.stdout is None or child.stderr is None or not (first := child.stderr.readline()):
            sys.exit("the demo did not start; `make demo` says why")
        yield first.split()[-1].removesuffix("/tide"), child.stdout


def wait_for(true: Callable[[], bool]) -> None:
    if not eventually(true):
        sys.exit("the demo did not come to what was to be shown")


def seen(url: str) -> str:
    return requests.get(url, timeout=30).text


def take(browser: Browser, folder: Path, name: str, url: str) -> None:
    """One page as on a desk, as on a phone, and in the dark."""
    for kind, width, dark in (("", DESKTOP, False), ("-phone", PHONE, False), ("-dark", DESKTOP, True)):
        browser.look(width, dark=dark)
        browser.open(url)
        browser.picture(folder / f"{name}{kind}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
