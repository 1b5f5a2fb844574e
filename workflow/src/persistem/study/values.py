"""Read YAML, also of strangers, and give values from it and the command line the types that a study needs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from persistem.errors import PersistemError

EXPONENTIAL = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")
#: Most values and depth of a study. With aliases of aliases, a few lines of YAML are more values than any memory holds.
MOST_VALUES, DEEPEST = 1_000_000, 50
#: Depth of a YAML text, most pairs that its merges copy, and most characters of one text or number in it.
DEEPEST_TEXT, MOST_MERGED, LONGEST_TEXT = 200, 100_000, 100_000
#: Most characters of what is wrong with a YAML text.
LONGEST = 300


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader, with a limit to what merges (``<<``) copy: merges of merges grow without end."""

    merged = 0

    def flatten_mapping(self, node: Any) -> None:
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                for part in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    if isinstance(part, yaml.MappingNode):
                        self.flatten_mapping(part)
                        self.merged += len(part.value)
                        if self.merged > MOST_MERGED:
                            raise ValueError(f"merges (<<) of more than {MOST_MERGED} values")
        super().flatten_mapping(node)


def from_yaml(text: str) -> Any:
    """The value of a YAML text; raises PersistemError, in one line, if it is none or has too much in it."""
    try:
        _check_parts(text)
        return yaml.load(text, Loader=_Loader)
    except Exception as error:  # a tag that does not fit its value makes PyYAML raise errors of many kinds
        said = " ".join(str(error).split())[:LONGEST] or type(error).__name__
        raise PersistemError(f"not valid YAML: {said}") from error


def _check_parts(text: str) -> None:
    """Read a text part by part, which takes no memory, before anything is made of it."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=_Loader)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if count > MOST_VALUES:
            raise ValueError(f"more than {MOST_VALUES} values")
        if depth > DEEPEST_TEXT:
            raise ValueError(f"nested more than {DEEPEST_TEXT} deep")
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > LONGEST_TEXT:
            raise ValueError(f"a value of more than {LONGEST_TEXT} characters")


def check_size(settings: Mapping[str, Any], where: str) -> None:
    """Raise PersistemError, naming the key, if settings have too many values or are nested too deep."""
    left, count = [(key, settings[key], 1) for key in settings], 0
    while left:
        key, value, depth = left.pop()
        count += 1
        if count > MOST_VALUES:
            raise PersistemError(f"{where}: {key}: more than {MOST_VALUES} values in all")
        if depth > DEEPEST:
            raise PersistemError(f"{where}: {key}: nested more than {DEEPEST} deep")
        inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
        left += [(key, item, depth + 1) for item in inner]


def numbers(value: Any) -> Any:
    """Settings with 1e-5 as a number: YAML 1.1 wants a point, 1.0e-5, and reads other forms as text."""
    if isinstance(value, Mapping):
        return {key: numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [numbers(item) for item in value]
    return float(value) if isinstance(value, str) and EXPONENTIAL.fullmatch(value) else value


def typed(value: Any) -> Any:
    """Settings given as text, e.g. on a command line, with the types that YAML gives them."""
    if isinstance(value, Mapping):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    return from_yaml(value) if isinstance(value, str) else value
