"""YAML documents and the environment, read once at the edge and turned into core values."""

from mergeq.config.documents import ConfigError
from mergeq.config.policy import Configuration, load, load_texts, texts_of
from mergeq.config.settings import Settings
from mergeq.config.watch import Followed

__all__ = ["ConfigError", "Configuration", "Followed", "Settings", "load", "load_texts", "texts_of"]
