"""Real Prow configurations, as they are used or were: they load as Prow loads them."""

import re
from pathlib import Path

import pytest

from mergeq.config import ConfigError, load
from mergeq.config.documents import read
from mergeq.config.schemas import validator
from mergeq.config.wishes import branch_of
from mergeq.core.protection import PROW_FIELDS, RepoFacts
from mergeq.core.pull import Branch, Method

ROOT = Path(__file__).parents[2].parent / "shared" / "prow-configs"
FILES = sorted(ROOT.rglob("*.y*ml"))
REFUSED = {
    "istio__test-infra/history/2017-12-19__prow__config.yaml": "tide.queries.0: must be a mapping",
    "kubernetes-sigs__prow/pkg__config__prow-config-documented.yaml": "tide.target_url and tide.target_urls are",
}
IN_REPO = (
    "in_repo_config.enabled: the jobs in `.prow.yaml` files are not read, so the contexts they report are not known "
    "here; name those that must be green under `tide.context_options`"
)
UNKNOWN = "is not a key that is known here, so it has no effect"
NO_JOBS = "is not applied; mergeq runs no jobs; nothing else needs it here"
INCLUDED = (
    "include and exclude are both in force here, and exclude is not looked at; "
    "keep one of them on the way from everyone to here"
)
KINDS = (
    UNKNOWN,
    NO_JOBS,
    IN_REPO,
    "stands twice here and the last one is used",
    "GitHub's default text is used where it fails",
    "is taken for the whole name of a branch",
    "is deprecated in Prow",
    "no file has that section",
    "is a Kubernetes ConfigMap",
    "has no `tide.queries`",
    INCLUDED,
    "has no effect, since `protect` is set neither here nor at any level above or below",
    "has no required_approving_review_count, so no review is required at all",
    "defines a policy, which requires protect: true",
    "restrictions.apps is set, but enable_apps_restrictions is not",
    "restrictions: is empty, so nobody may push",
)
CLOUDFOUNDRY = "branch-protection.orgs.cloudfoundry.repos"
WARNINGS = {  # everything that is said of some of them, the line of the file it is about in front
    "kubernetes__test-infra/config__prow__config.yaml": [],
    "knative__infra/prow__config.yaml": [
        f"270:7: branch-protection.orgs.knative-extensions: {INCLUDED}",
        f"287:7: branch-protection.orgs.knative: {INCLUDED}",
    ],
    "kcp-dev__infra/prow__config.yaml": [f"187:5: {IN_REPO}"],
    "metal3-io__project-infra/prow__config__config.yaml": [],
    "kubevirt__project-infra/github__ci__prow-deploy__kustom__base__configs__current__config__config.yaml": [],
    "istio__test-infra/prow__gcp__config.yaml": [f"537:5: {IN_REPO}"],
    "falcosecurity__test-infra/config__backup__aws__prow__config.yaml": [
        "297:9: the key 'falco-talon' stands twice here and the last one is used; remove one",
    ],
    "cloudfoundry__community/org__branchprotection.yml": [
        *(
            f"{place}: {CLOUDFOUNDRY}.{repo}.allow_disabled_policies: {UNKNOWN}; remove it"
            for place, repo in (
                ("14:36", "branchprotection-test"),
                ("59:36", "haproxy-boshrelease"),
                ("74:36", "pcap-release"),
                ("95:36", "korifi"),
            )
        ),
        "has no `tide.queries`, so nothing will ever merge; add a query",
    ],
    "kubernetes__test-infra/history/2018-12-30__prow__config.yaml": [
        "442:23: tide.pr_status_base_url: is deprecated in Prow; write it as the `*` of pr_status_base_urls",
    ],
}


def counts() -> dict[str, tuple[int, ...]]:
    """How many queries, and how many orgs, repositories and branches with protection SOURCES.md finds in each file."""
    text = (ROOT / "SOURCES.md").read_text() if FILES else ""
    rows = re.findall(r"^\| [^|]+ \| `([^`]+)`.* \| (\d+) \| (\d+)/(\d+)/(\d+) \|", text, re.MULTILINE)
    return {name: tuple(map(int, numbers)) for name, *numbers in rows}


pytestmark = pytest.mark.skipif(
    not FILES, reason="the collection of real Prow configurations is not beside this checkout"
)


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


def test_the_collection_is_whole() -> None:
    assert len(FILES) == 184


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_a_real_configuration_loads_as_in_prow(file: Path) -> None:
    """D2. Prow refuses two of them as well: in one queries were text yet, the other shows every key at once. A warning
    of a kind that is not listed above would be one that nobody looked at.
    """
    if (why := REFUSED.get(name_of(file))) is None:
        assert [line for line in load([file]).warnings if not any(kind in line for kind in KINDS)] == []
        return
    with pytest.raises(ConfigError) as caught:
        load([file])
    assert why in str(caught.value)


def test_every_file_holds_as_many_queries_and_protected_places_as_were_counted() -> None:
    found = {}
    for name in counts().keys() - REFUSED.keys():
        config = load([ROOT / name])
        levels = config.protection.levels.keys() - {"*"}
        branches = {key for key in levels if ":" in key}
        orgs = {key for key in levels if "/" not in key}
        found[name] = (sum(map(len, config.query_places)), len(orgs), len(levels - orgs - branches), len(branches))

    assert len(found) == 182
    assert {name: (found[name], told) for name, told in counts().items() if found.get(name, told) != told} == {}


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_the_schemas_accept_the_sections_of_every_file(file: Path) -> None:
    value = read(file).value
    sections = (("tide", "tide-config"), ("branch-protection", "branch-protection"))

    refused = [name for section, name in sections if not validator(name).is_valid(value.get(section))]
    assert bool(refused) is (name_of(file) in REFUSED)


@pytest.mark.parametrize(("file", "told"), WARNINGS.items(), ids=list(WARNINGS))
def test_what_is_said_of_a_file_is_this_and_no_more(file: str, told: list[str]) -> None:
    assert [re.sub(f"^{re.escape(str(ROOT / file))}:? ?", "", line) for line in load([ROOT / file]).warnings] == told


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_what_a_real_configuration_wishes_for_the_branches_that_it_names_can_be_told(file: Path) -> None:
    """P7.2: each with the line that says so, whatever else there is beside them."""
    if name_of(file) in REFUSED:
        return
    found = load([file])
    named: dict[str, set[str]] = {}
    for key in (key for key in found.protection.levels if "/" in key):
        repo, _, branch = key.partition(":")
        named.setdefault(repo, set()).update([branch] if branch else ())
    for repo, names in named.items():
        facts = RepoFacts(repo, branches=frozenset({*names, "main", "dependabot/x"}), default_branch="main")
        wishes = found.wishes(facts, 0.0)
        assert all(wish.place.rpartition(":")[0] == str(file) for wish in wishes)
        assert all(wish.problem or wish.values.keys() >= PROW_FIELDS for wish in wishes if wish.protect)
        managed = {
            name
            for name in names
            if (policy := found.protection.merged(branch_of(f"{repo}:{name}")))
            and policy.get("unmanaged") is not True
            and (policy.get("protect") is not None)
        }
        assert managed <= {wish.target.pattern for wish in wishes}


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
