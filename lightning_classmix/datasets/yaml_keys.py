"""Find keys that occur twice in a YAML file, of which a reader would drop one."""

from collections import Counter
from typing import Any

import yaml


def repeated_key(text: str | bytes) -> str | None:
    """Return a key that a mapping in a YAML text holds twice; None if there is none.

    Args:
        text: The text.

    Raises:
        yaml.YAMLError: If it is not YAML.

    Example:
        >>> repeated_key("a: {b: 1, c: 2, b: 3}"), repeated_key("a: 1")
        ('b', None)
    """
    waiting: list[Any] = [yaml.compose(text, Loader=yaml.SafeLoader)]
    known: set[int] = set()  # an alias is the node that it stands for
    while waiting:
        node = waiting.pop()
        if id(node) in known:
            continue
        known.add(id(node))
        if isinstance(node, yaml.MappingNode):
            keys = Counter((key.tag, str(key.value)) for key, _ in node.value)
            twice = [value for (_, value), count in keys.items() if count > 1]
            if twice:
                return twice[0]
            waiting += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
    return None
