"""Generate the parameter reference, the JSON schema, and the paper's study with its assumptions from the model."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from persistem.store.files import atomic
from persistem.study import Study

HEAD = """# Every setting of a study

A study is one YAML file. State only what differs from the paper: every other setting takes the default below. Two study
files are never merged.

- `paper.yaml` states every setting of the paper's study; `demo.yaml` is a small study to copy.
- `persistem check FILE` says whether a file is valid. Editors read `schema.json`.
- A default is the paper's. Where the paper does not say, it is an *assumption*, with the reason.
- [docs/using.md](../docs/using.md) says how to run and change a study.

This page, `schema.json` and `paper.yaml` are generated from `workflow/src/persistem/study/` by `make reference`.
"""


def write_reference(folder: Path) -> None:
    """Write ``README.md``, ``schema.json`` and ``paper.yaml`` into ``folder``."""
    for name, text in {"README.md": reference(), "schema.json": schema(), "paper.yaml": paper_study()}.items():
        with atomic(Path(folder) / name) as part:
            part.write_text(text)


def schema() -> str:
    """The JSON schema of a study."""
    return json.dumps(Study.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


def reference() -> str:
    """The parameter reference as Markdown: key, meaning, unit, default, allowed values, and source."""
    parts, done = [HEAD], set()
    queue: list[tuple[str, type[BaseModel]]] = [("", Study)]
    while queue:
        prefix, model = queue.pop(0)
        if (prefix, model) in done:
            continue
        done.add((prefix, model))
        rows = [_row(prefix, name, info, model) for name, info in model.model_fields.items()]
        title = _title(prefix, model)
        about = " ".join((model.__doc__ or "").split())
        head = "| key | meaning | unit | default | allowed | source |\n| --- | --- | --- | --- | --- | --- |"
        parts.append(f"## {title}\n\n{about}\n\n{head}\n" + "\n".join(rows) + "\n")
        for name, info in model.model_fields.items():
            queue += [(_below(prefix, name, info), nested) for nested in sections(info.annotation)]
    return "\n".join(parts)


def _title(prefix: str, model: type[BaseModel]) -> str:
    """The heading of a section: its key, and the method where there is a choice of them."""
    method = model.model_fields.get("method")
    return f"`{prefix.rstrip('.') or 'study'}`" + (f", method `{method.default}`" if method else "")


def _below(prefix: str, name: str, info: FieldInfo) -> str:
    """The prefix of the keys in a field's section."""
    mark = "<name>." if "dict" in str(info.annotation) else "[]." if "tuple" in str(info.annotation) else ""
    return f"{prefix}{name}.{mark}".replace(".[]", "[]")


def _anchor(title: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def sections(annotation: Any) -> list[type[BaseModel]]:
    """The sections that a field's type mentions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in sections(argument)]


def _row(prefix: str, name: str, info: FieldInfo, model: type[BaseModel]) -> str:
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    nested = sections(info.annotation)
    if info.is_required():
        default = "*required*"
    elif nested:
        default = f"see [below](#{_anchor(_title(_below(prefix, name, info), nested[0]))})"
    else:
        default = f"`{_plain(info.get_default(call_default_factory=True))}`"
    allowed = "section" if nested else _allowed(model.model_json_schema()["properties"][name])
    cells = [f"`{prefix}{name}`", info.description or "", str(extra.get("unit", "")), default, allowed]
    return "| " + " | ".join([*cells, str(extra.get("source", ""))]).replace("\n", " ") + " |"


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=list)


def _allowed(schema: dict[str, Any]) -> str:
    """Type and range of a JSON schema in words."""
    if "anyOf" in schema:
        return " or ".join(_allowed(option) for option in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "type" not in schema and "properties" not in schema and "$ref" not in schema:
        return "any value"
    kind = str(schema.get("type", "mapping"))
    if kind == "array":
        each = schema.get("items") or schema.get("prefixItems", [{}])[0]
        count = f"{schema['maxItems']} × " if "maxItems" in schema else "list of "
        return count + _allowed(each)
    if kind == "object":
        values = schema.get("additionalProperties")
        return "name → " + _allowed(values if isinstance(values, dict) else {})
    signs = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}
    limits = ", ".join(f"{sign} {schema[key]:g}" for key, sign in signs.items() if key in schema)
    names = {"number": "number", "integer": "integer", "string": "text", "boolean": "true or false", "null": "null"}
    return names[kind] + (f" {limits}" if limits else "")


def paper_study() -> str:
    """The paper's study with every setting; above what the paper leaves open stand the assumption and its reason."""
    head = [
        "# The paper's study: Uesugi & Ishii, Microscopy 2022. Every setting is stated and equals the model's default.",
        "# 'assumption' marks what the paper leaves open, with the reason for the value taken here.",
        "# Generated by `make reference`; copy it, or only the keys you change, for a study of your own.",
        "# yaml-language-server: $schema=schema.json",
        "",
    ]
    return "\n".join(head + _lines(Study(), 0)) + "\n"


def _lines(section: BaseModel, depth: int) -> list[str]:
    lines = []
    indent = "  " * depth
    for name, info in type(section).model_fields.items():
        value = getattr(section, name)
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        unit = f" [{extra['unit']}]" if extra.get("unit") else ""
        source = str(extra.get("source", ""))
        if source.startswith("assumption"):
            lines.append(f"{indent}# {source}")
        if isinstance(value, BaseModel):
            lines += [*([] if depth else [""]), f"{indent}{name}:  # {info.description}", *_lines(value, depth + 1)]
        elif isinstance(value, dict) and value and all(isinstance(v, BaseModel) for v in value.values()):
            lines.append(f"{indent}{name}:  # {info.description}")
            for key, item in value.items():
                lines += [f"{indent}  {key}:", *_lines(item, depth + 2)]
        else:
            lines.append(f"{indent}{name}: {_inline(value)}  # {info.description}{unit}")
    return lines


def _inline(value: Any) -> str:
    if isinstance(value, tuple) and all(isinstance(v, float) and v.is_integer() for v in value):
        value = [int(v) for v in value]
    plain = json.loads(
        json.dumps(value, default=lambda v: v.model_dump(mode="json") if isinstance(v, BaseModel) else list(v))
    )
    return (
        str(yaml.safe_dump(plain, default_flow_style=True, width=10**6, sort_keys=False)).removesuffix("...\n").strip()
    )
