"""Importers of annotation formats, for ``classmix convert``."""
