"""Real Prow configurations, as they are used or were: they load as Prow loads them."""

from pathlib import Path

import pytest

from mergeq.config import ConfigError, load
from mergeq.core.pull import Branch, Method

ROOT = Path(__file__).parents[2].parent / "shared" / "prow-configs"
FILES = sorted(ROOT.rglob("*.y*ml"))
REFUSED = {
    "istio__test-infra/history/2017-12-19__prow__config.yaml": "tide.queries.0: must be a mapping",
    "kubernetes-sigs__prow/pkg__config__prow-config-documented.yaml": "tide.target_url and tide.target_urls are",
}
IN_DAILY_USE = {  # how many queries are written there, and how many of them demand different things
    "falcosecurity__test-infra/config__backup__aws__prow__config.yaml": (50, 2),
    "istio__test-infra/prow__aws__config.yaml": (5, 2),
    "istio__test-infra/prow__gcp__config.yaml": (8, 5),
    "knative__infra/prow__config.yaml": (4, 4),
    "kubernetes__test-infra/config__prow__config.yaml": (9, 8),
    "kubevirt__project-infra/github__ci__prow-deploy__kustom__base__configs__current__config__config.yaml": (7, 6),
    "metal3-io__project-infra/prow__config__config.yaml": (1, 1),
    "tektoncd__plumbing/prow__control-plane__config.yaml": (1, 1),
}

pytestmark = pytest.mark.skipif(
    not FILES, reason="the collection of real Prow configurations is not beside this checkout"
)


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


def test_the_collection_is_whole() -> None:
    assert len(FILES) == 184


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_a_real_configuration_loads_as_in_prow(file: Path) -> None:
    """D2. Prow refuses two of them as well: in one queries were text yet, the other shows every key at once."""
    if (why := REFUSED.get(name_of(file))) is None:
        load([file])
        return
    with pytest.raises(ConfigError) as caught:
        load([file])
    assert why in str(caught.value)


@pytest.mark.parametrize(("file", "queries"), IN_DAILY_USE.items(), ids=list(IN_DAILY_USE))
def test_configurations_in_daily_use_load_whole(file: str, queries: tuple[int, int]) -> None:
    """The counts are those of SOURCES.md. A key stands twice in falcosecurity's; Istio keeps jobs in a repository."""
    found = load([ROOT / file])

    assert (sum(map(len, found.query_places)), len(found.queries)) == queries
    assert [line for line in found.warnings if "stands twice" not in line and ".prow.yaml" not in line] == []


def test_the_configuration_of_falcosecurity_says_what_lands_how() -> None:
    found = load([ROOT / "falcosecurity__test-infra/config__backup__aws__prow__config.yaml"])
    falco = Branch("falcosecurity", "falco", "master")

    assert found.covers(falco)
    assert found.methods.for_branch(falco) is Method.REBASE
    assert "falco-talon" in found.warnings[0]


def test_the_shards_of_openshift_are_one_configuration(tmp_path: Path) -> None:
    """Prow's own layout: one small file per organisation or repository beside the main one."""
    for file in (ROOT / "openshift__release").iterdir():
        shard = tmp_path / file.name.replace("___prowconfig", "/_prowconfig").replace("__", "/")
        shard.parent.mkdir(parents=True, exist_ok=True)
        shard.write_bytes(file.read_bytes())

    found = load([tmp_path])

    assert found.warnings == ()
    assert len(found.queries) < sum(map(len, found.query_places))
    assert found.covers(Branch("openshift", "api", "main"))
