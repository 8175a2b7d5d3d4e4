"""mergeq: a self-hosted merge queue and branch-protection enforcer for GitHub."""

from pathlib import Path
from typing import Literal

__version__ = "0.1.0"


def shipped(folder: Literal["policies", "schemas", "webui", "deploy"]) -> Path:
    """Where a folder that travels with the code lies: inside the package in a wheel, beside it in a checkout or sdist.

    Raises FileNotFoundError when the installation is broken.
    """
    package = Path(__file__).resolve().parent
    for home in (package, package.parent):
        if (home / folder).is_dir():
            return home / folder
    raise FileNotFoundError(f"{folder}/ is missing from this installation of mergeq; install it again")
