"""Write the table of the stages into docs/architecture.md: `.venv/bin/python docs/glossary.py`."""

from __future__ import annotations

from pathlib import Path

from persistem.store.stages import STAGES

PAGE = Path(__file__).with_name("architecture.md")
START, END = "<!-- stages -->", "<!-- end -->"


def table() -> str:
    """The stages as a Markdown table, in their order."""
    lines = ["| stage, and folder in `results/` | part | rules | verbs | module | what it does |", "|" + " --- |" * 6]
    for stage in STAGES:
        rules, verbs = (", ".join(f"`{name}`" for name in names) for names in (stage.rules, stage.verbs))
        module = f"`persistem.{stage.module}`"
        lines.append(f"| `{stage.name}` | {stage.part} | {rules} | {verbs} | {module} | {stage.does} |")
    return "\n".join(lines)


def written(page: str) -> str:
    """The text of the page with the table as it has to be."""
    before, _, rest = page.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
