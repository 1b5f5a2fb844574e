"""Draw the wings of the package and which wing imports which: `.venv/bin/python docs/figures/wings.py`.

The order is that of the layers in pyproject.toml, the imports are read from the source, and what lives in a wing is the
first line of its docstring.
"""

from __future__ import annotations

import ast
import textwrap
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "workflow/src/persistem"
INK, FAINT, DOT, UPWARD = "#1a1a1a", "#f3f4f6", "#1f5f8b", "#b3402a"
#: The first wing of each group, from the top, what the group is, and its colour.
GROUPS = {
    "api": ("interfaces", "#fbead7"),
    "publication": ("workflow", "#e9f0d9"),
    "trial": ("products", "#f7e3e6"),
    "model": ("methods", "#dfecf7"),
    "study": ("foundations", "#ebe4f3"),
}


def layers() -> list[list[str]]:
    """The wings by layer, from the top; those of one layer do not import each other."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    contract = next(one for one in tool["contracts"] if one["type"] == "layers")
    return [[name.strip() for name in layer.split(":")] for layer in contract["layers"]]


def order() -> list[str]:
    """The wings, from the top."""
    return [wing for layer in layers() for wing in layer]


def about(wing: str) -> str:
    """The first line of a wing's docstring."""
    folder = PACKAGE / wing
    text = (folder / "__init__.py" if folder.is_dir() else PACKAGE / f"{wing}.py").read_text()
    return (ast.get_docstring(ast.parse(text)) or "").splitlines()[0].rstrip(":").replace("``", "")


def imported(file: Path) -> set[tuple[str, bool]]:
    """The wings that a file imports from, each with whether it does so inside a function; not for types only."""
    found: set[tuple[str, bool]] = set()

    def visit(node: ast.AST, inside: bool) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] if "." in node.module else [f"{node.module}.{one.name}" for one in node.names]
        else:
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
        found.update((name.split(".")[1], inside) for name in names if name.startswith("persistem."))
        inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(ast.parse(file.read_text()), False)
    return found


def imports() -> dict[str, dict[str, bool]]:
    """For each wing the wings it imports from, and whether it does so inside functions only."""
    result = {}
    for wing in order():
        files = (PACKAGE / wing).rglob("*.py") if (PACKAGE / wing).is_dir() else [PACKAGE / f"{wing}.py"]
        found = {pair for file in files for pair in imported(file) if pair[0] != wing}
        result[wing] = {name: (name, False) not in found for name, _ in found}
    return result


def draw(out: Path) -> None:
    """Draw the wings, the ground below, and a dot for every wing that another imports from."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    from matplotlib.patches import Rectangle

    plt.rcParams.update({"svg.hashsalt": "wings", "svg.fonttype": "none", "font.family": ["DejaVu Sans", "sans-serif"]})
    wings, of = order(), imports()
    names, cell = 13.9, 0.75  # width of the text, and of a column, in heights of a row
    left = names + 0.15
    figure, axes = plt.subplots(figsize=(14, 8.0))
    axes.set(xlim=(-0.6, left + cell * len(wings) + 0.8), ylim=(len(wings) + 1.0, -1.9))
    axes.axis("off")

    def box(x: float, row: int, width: float, colour: str) -> None:
        axes.add_patch(Rectangle((x, row + 0.04), width, 0.92, color=colour, lw=0))

    def dot(x: float, y: float, inside: bool, upward: bool) -> None:
        edge = UPWARD if upward else DOT
        axes.plot(x, y, "D" if upward else "o", ms=7.5, mfc="white" if inside else edge, mec=edge, mew=1.4)

    starts = [row for row, wing in enumerate(wings) if wing in GROUPS]
    for first, end in zip(starts, [*starts[1:], len(wings)], strict=True):
        group, colour = GROUPS[wings[first]]
        style = {"rotation": 90, "ha": "center", "va": "center", "fontsize": 8.5, "color": "#555555"}
        axes.text(-0.3, (first + end) / 2, group, **style)
        for row in range(first, end):
            box(0, row, names, colour)
            box(left + cell * row, row, cell - 0.04, colour)
    for row, wing in enumerate(wings):
        axes.text(0.15, row + 0.5, wing, va="center", fontsize=10.5, weight="bold", color=INK)
        axes.text(3.0, row + 0.5, textwrap.fill(about(wing), 64), va="center", fontsize=8.3, color=INK)
        x = left + cell * (row + 0.5)
        axes.text(x, -0.15, wing, rotation=60, fontsize=9, color=INK, rotation_mode="anchor")
        for column, below in enumerate(wings):
            if column > row:
                box(left + cell * column, row, cell - 0.04, FAINT)
            if below in of[wing]:
                dot(left + cell * (column + 0.5), row + 0.5, of[wing][below], column < row)
    axes.text(
        names - 0.1, -0.2, "the wing of a row imports from the wing of a column", ha="right", fontsize=9, color=INK
    )
    for x, inside, upward, what in (
        (0.3, False, False, "imports"),
        (2.6, True, False, "imports inside functions only"),
        (8.3, False, True, "imports upwards: the exceptions that pyproject.toml lists"),
    ):
        dot(x, len(wings) + 0.6, inside, upward)
        axes.text(x + 0.3, len(wings) + 0.6, what, va="center", fontsize=9, color=INK)
    figure.savefig(out, bbox_inches="tight", metadata={"Date": None} if out.suffix == ".svg" else None)
    plt.close(figure)


if __name__ == "__main__":
    draw(Path(__file__).with_suffix(".svg"))
