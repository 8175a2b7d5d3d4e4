"""YAML documents and the environment, read once at the edge and turned into core values."""

from mergeq.config.documents import ConfigError
from mergeq.config.policy import Configuration, load
from mergeq.config.settings import Settings

__all__ = ["ConfigError", "Configuration", "Settings", "load"]
