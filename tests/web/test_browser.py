"""The pages in a real browser: live without reload, on a phone's width, by keyboard, and under their own policy."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from werkzeug.serving import make_server

from mergeq.core.audit import Held
from mergeq.core.batch import Member, Run
from mergeq.core.history import Outcome
from mergeq.core.protection import Kind
from mergeq.core.pull import Branch, Method, Result
from mergeq.core.reason import Clause, Reason
from mergeq.web import create_app
from tests.browser import DESKTOP, MISSING, PHONE, Browser, found
from tests.builders import context
from tests.conftest import Mergeq
from tests.web.builders import LABEL, MAIN, ODD, drifted, item, record, row, save, save_many, seen, standing

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
PAGES = (
    *("/tide", "/tide-history", "/pr/acme/rocket/7", "/pr/acme/rocket/32", "/nowhere"),
    *("/protection", "/protection/acme/rocket"),
)
LONG = "Rewrite-the-whole-" * 12 + "engine, <script>alert(1)</script> & its “tests” " * 5
RED = Reason(Clause.CONTEXTS, f"{LONG} to be green", "it failed", "the author", "push a fix", items=(LONG,))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if (program := found()) is None:
        pytest.skip(MISSING)
    with Browser(program) as started:
        yield started


@pytest.fixture
def site(mergeq: Mergeq) -> Iterator[str]:
    """The address of the pages, served with a thread for each request; streams look at a clock that runs."""
    ending = threading.Event()

    def sleep(seconds: float) -> None:
        ending.wait(seconds)

    app = create_app(replace(mergeq.services, now=time.monotonic, sleep=sleep))
    app.extensions["mergeq.ending"] = ending.is_set
    with make_server("127.0.0.1", 0, app, threaded=True) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.port}"
        ending.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def crowd(mergeq: Mergeq) -> Mergeq:
    """Thirty members, a run over eight of them, twelve others, titles without end, and a history of it all."""
    members = [standing(number, title=LONG if number % 7 == 0 else f"Change {number}") for number in range(1, 31)]
    bad: dict[str, Any] = {"title": LONG, "contexts": (context(LONG, Result.FAILURE, description=LONG),)}
    others = [standing(number, *((LABEL,) if number % 2 else (RED, LABEL)), **bad) for number in range(31, 43)]
    tested = tuple(Member(one.pull.number, one.pull.head_sha, Method.MERGE) for one in members[:8])
    run = Run("r1", "b" * 40, tested, "mergeq/main-1", "5" * 40, (), 1_767_603_500.0, ())
    lease = save(mergeq.store, MAIN, *members, *others, runs=(run,), error=LONG, why=LONG)
    save(mergeq.store, ODD, standing(50, LABEL, title=LONG))
    for number in range(20):
        record(mergeq.store, lease, 1_767_603_500.0 + number, title=LONG, outcome=Outcome.REFUSED, err=LONG)
    strange = f"{LONG.split(maxsplit=1)[0]}**/*"
    change = drifted("acme/rocket:main", warnings=(LONG,), exemptions=(LONG,))
    broken = item(f"acme/rocket:{strange}", Kind.INVALID, why=LONG)
    seen(mergeq.store, change, item("acme/rocket:next"), broken, error=LONG, warnings=(LONG,))
    seen(mergeq.store, item("acme/tower:main"))
    mergeq.store.protection.hold(Held("ab" * 32, 1_767_603_500.0, (LONG,), 1, 1, 1, (change, broken)), ())
    for number in range(5):
        row(
            mergeq.store,
            1_767_603_500.0 + number,
            f"acme/rocket:{strange}",
            by=LONG,
            why=LONG,
            problem=LONG,
            place=LONG,
        )
    return mergeq


def test_a_page_follows_what_happens_without_being_loaded_again(mergeq: Mergeq, browser: Browser, site: str) -> None:
    lease = save(mergeq.store, MAIN, standing(1, LABEL))
    browser.look(DESKTOP)
    browser.open(f"{site}/tide")
    browser.wait("document.getElementById('live').textContent === 'Live'")
    browser.evaluate("window.same = true; document.getElementById('q').focus(); scrollTo(0, 40)")
    browser.evaluate("document.querySelector('#why-acme\\\\/rocket\\\\#1 summary').click()")

    save(mergeq.store, MAIN, standing(1, LABEL), standing(2, title="Add fins"), lease=lease)

    browser.wait("document.body.innerText.includes('Add fins')")
    assert browser.evaluate("window.same") is True
    assert browser.evaluate("document.activeElement.id") == "q"
    assert browser.evaluate("document.querySelector('#why-acme\\\\/rocket\\\\#1').open") is True


def test_a_branch_of_very_many_comes_up_whole_when_something_happens_to_it(
    mergeq: Mergeq, browser: Browser, site: str
) -> None:
    quiet = save_many(mergeq.store, 400)[-2]  # the last but one, which is neither whole nor named
    browser.look(DESKTOP)
    browser.open(f"{site}/tide")
    browser.wait("document.getElementById('live').textContent === 'Live'")
    assert quiet.branch.repo not in browser.evaluate("document.body.innerText")

    save(mergeq.store, quiet.branch, standing(399, title="Add fins"), lease=quiet)

    browser.wait("document.body.innerText.includes('Add fins')")
    assert browser.evaluate("document.querySelectorAll('details.branch').length") == 150
    assert browser.evaluate("document.querySelectorAll('.lines li').length") == 200


@pytest.mark.parametrize("width", [DESKTOP, PHONE], ids=["on a desk", "on a phone"])
def test_very_many_branches_are_as_readable_as_few(mergeq: Mergeq, browser: Browser, site: str, width: int) -> None:
    long = Branch("acme", "tower", "release/" + "very-" * 30 + "long")
    save(mergeq.store, long, *(standing(number) for number in range(1001, 1301)), error=LONG)
    save(mergeq.store, ODD, standing(1401), *(standing(number, LABEL) for number in range(1402, 1482)))
    save_many(mergeq.store, 400)
    browser.look(width)

    browser.open(f"{site}/tide")

    assert browser.evaluate("document.querySelectorAll('.lines li, .counted').length") == 201
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(_NAMELESS) == []
    assert browser.evaluate(_FAINT) == []


@pytest.mark.usefixtures("crowd")
@pytest.mark.parametrize("width", [DESKTOP, PHONE], ids=["on a desk", "on a phone"])
@pytest.mark.parametrize("path", PAGES)
def test_nothing_is_cut_off_refused_by_the_policy_or_left_without_a_name(
    browser: Browser, site: str, width: int, path: str
) -> None:
    browser.look(width)

    browser.open(site + path)

    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert [said for said in browser.complaints if "404" not in said] == []
    assert browser.evaluate("document.querySelectorAll('h1').length") == 1
    assert browser.evaluate(_NAMELESS) == []
    ids = browser.evaluate("[...document.querySelectorAll('[id]')].map((element) => element.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
@pytest.mark.usefixtures("crowd")
def test_every_text_stands_out_from_what_is_behind_it(browser: Browser, site: str, path: str, dark: bool) -> None:
    """WCAG 2.2, 1.4.3: a contrast of at least 4.5, computed from what the browser itself would draw."""
    browser.look(DESKTOP, dark=dark)
    browser.open(site + path)

    assert browser.evaluate(_FAINT) == []


def test_the_keyboard_reaches_the_content_first_and_opens_the_reasons(
    mergeq: Mergeq, browser: Browser, site: str
) -> None:
    save(mergeq.store, MAIN, standing(1, LABEL))
    browser.look(DESKTOP)
    browser.open(f"{site}/tide")

    browser.press("Tab")
    assert browser.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert browser.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    browser.press("Enter")
    assert browser.evaluate("document.activeElement.id") == "main"
    browser.evaluate("document.querySelector('#why-acme\\\\/rocket\\\\#1 summary').focus()")
    browser.press("Enter")

    assert browser.evaluate("document.activeElement.parentElement.open") is True


_NAMELESS = """
[...document.querySelectorAll("a, button, input, select, summary")]
  .filter((element) => !(element.textContent.trim() || element.ariaLabel || element.labels?.length))
  .map((element) => element.outerHTML)
"""
_FAINT = """
(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const paint = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const faint = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const element = text.parentElement;
    if (!text.data.trim() || !element.checkVisibility() || element.closest(".unseen, noscript")) continue;
    const behind = [];
    for (let e = element; e; e = e.parentElement) behind.unshift(getComputedStyle(e).backgroundColor);
    const ground = paint(behind);
    const [a, b] = [light(ground), light(paint([...behind, getComputedStyle(element).color]))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) faint.add(`${element.className || element.nodeName}: ${contrast.toFixed(2)}`);
  }
  return [...faint];
})()
"""
