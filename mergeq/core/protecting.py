"""The `mergeq.protection` settings that are one for everybody. The defaults of its YAML keys live here; durations are
seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mergeq.core.protection import Backend, Mode, Values


class Fields(StrEnum):
    """What becomes of what the YAML does not mention (P7.4). Either way Prow's own fields are off then, as in Prow, and
    signatures stay as they are; the others PRESERVE leaves as GitHub has them, and PROW resets, as Prow's request does.
    """

    PRESERVE = "preserve"
    PROW = "prow"


class FromTide(StrEnum):
    """Which of the contexts of `tide.context_options` GitHub is to require too (P2.23)."""

    NONE = "none"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class GateValues:
    """How much one run may do before somebody has to agree, and the teams, as ``ORG/TEAM``, that may (P7.6)."""

    max_repos_changed: int = 50
    max_weakening: int = 10
    max_removals: int = 5
    ack_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Exemption:
    """What is allowed for a time (P7.11). `target` is ``ORG/REPO:GLOB``, `until` epoch seconds; `patch` and `remove`
    are a level of policy, narrower than any other, in the words of the YAML. `place` is its ``file:line``.
    """

    id: str
    target: str
    until: float
    owner: str
    reason: str
    ticket: str = ""
    patch: Mapping[str, Any] = field(default_factory=dict)
    remove: Mapping[str, Any] = field(default_factory=dict)
    place: str = ""

    def is_in_force(self, now: float) -> bool:
        """Whether it holds at `now`, in epoch seconds; at its end it does not any more."""
        return now < self.until

    @property
    def repo(self) -> str:
        """``ORG/REPO``."""
        return self.target.partition(":")[0]

    @property
    def glob(self) -> str:
        """The branches, or the pattern, that it is about."""
        return self.target.partition(":")[2]


@dataclass(frozen=True, slots=True)
class ProtectionValues:
    """Everything under `mergeq.protection` that no org changes. `floor` has the fields below which none may go;
    `policy_owners` and `breakglass_team` are teams as ``ORG/TEAM``; an exemption may last `max_exemption`.
    """

    mode: Mode = Mode.OBSERVE
    fields: Fields = Fields.PRESERVE
    period: float = 21600.0
    jitter: float = 600.0
    backend: Backend = Backend.CLASSIC
    contexts_from_tide: FromTide = FromTide.NONE
    verify_restrictions: bool = False
    enable_apps_restrictions: bool = False
    gate: GateValues = field(default_factory=GateValues)
    policy_owners: tuple[str, ...] = ()
    breakglass_team: str = ""
    floor: Values = field(default_factory=dict)
    max_exemption: float = 1209600.0
    exemptions: tuple[Exemption, ...] = ()
