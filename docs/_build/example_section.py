"""Let the API reference show the ``Example:`` section of docstrings as code."""

from typing import Any

from griffe import Extension, Object


class ExampleSection(Extension):
    """Rename the section ``Example:`` to the name that griffe knows, ``Examples:``."""

    def on_instance(self, *, obj: Object, **kwargs: Any) -> None:
        """Rename the section in the docstring of one object."""
        if obj.docstring is not None:
            value = obj.docstring.value
            obj.docstring.value = value.replace("\nExample:\n", "\nExamples:\n")
