"""Run the scripts of the gallery and write a page of each, with what it printed and its pictures, into ``made/``.

    .venv/bin/python docs/gallery/build.py              # all
    .venv/bin/python docs/gallery/build.py crop dose    # some

A script is what a reader would run: its docstring is a title and a text; the figures that it leaves open are its
pictures.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
OUT = HERE / "made"
#: Not shown: this file, and what the scripts share.
NONE = ("build", "grains")
#: Follows a script: its open figures become files in the folder of the first argument.
SAVE = """
import sys
import matplotlib.pyplot as _plt
for _k in _plt.get_fignums():
    _plt.figure(_k).savefig(f"{sys.argv[1]}-{_k}.png", dpi=200)
"""


def scripts() -> list[str]:
    """The names of the scripts, in order."""
    return sorted(file.stem for file in HERE.glob("*.py") if file.stem not in NONE)


def said(name: str) -> tuple[str, str, str]:
    """Title, text and code of a script."""
    source = (HERE / f"{name}.py").read_text("utf-8")
    tree = ast.parse(source)
    title, _, text = (ast.get_docstring(tree) or "").partition("\n")
    code = "\n".join(source.splitlines()[tree.body[0].end_lineno :])
    return title, text.strip(), code.strip()


def build(name: str) -> None:
    """Run one script and write its page; SystemExit if it fails."""
    title, text, code = said(name)
    program = (HERE / f"{name}.py").read_text("utf-8") + SAVE
    for old in OUT.glob(f"{name}-*.png"):
        old.unlink()
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-W", "ignore", "-c", program, str(OUT / name)]
        printed = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    if printed.returncode:
        sys.exit(f"docs/gallery/{name}.py failed, as said above")
    pictures = "\n\n".join(f"![{title}]({file.name})" for file in sorted(OUT.glob(f"{name}-*.png")))
    source = f"[{name}.py](../{name}.py)" + (", with [grains.py](../grains.py)" if "from grains" in code else "")
    page = f"# {title}\n\n{text}\n\n{pictures}\n\nIt prints\n\n```text\n{printed.stdout.rstrip()}\n```\n\n"
    (OUT / f"{name}.md").write_text(f"{page}## The script\n\nDownload {source}.\n\n```python\n{code}\n```\n", "utf-8")


def main(names: list[str]) -> None:
    """Build the pages of some scripts, or of all anew."""
    if not names:
        shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(exist_ok=True)
    for name in names or scripts():
        print(f"gallery: {name}", flush=True)
        build(name)


if __name__ == "__main__":
    main(sys.argv[1:])
