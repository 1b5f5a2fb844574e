"""Persistence diagrams of the crops of all micrographs of a specimen in one file, for protocols that share them.

They are those of the stages ``crops`` and ``diagrams``, without a file for each micrograph's crops, which of crops that
overlap would take gigabytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from persistem.imaging.crops import crops_of
from persistem.topology.diagrams import diagram_table, write_diagrams

if TYPE_CHECKING:
    from persistem.study import Crops, Recipe

#: Bump when this stage's results change for the same study.
VERSION = 1


def specimen_diagrams(micrographs: Sequence[Path], recipe: Recipe, crops: Crops, out: Path) -> None:
    """Write the diagrams of the crops of micrographs as Parquet, see ``diagrams.diagram_table``.

    Crops are numbered through, from the first of the first micrograph to the last of the last. Raises PersistemError,
    naming the file, as ``crops.crops_of`` does.
    """
    import pyarrow as pa

    tables, first = [], 0
    for micrograph in micrographs:
        stack, _, _ = crops_of(micrograph, recipe, crops)
        tables.append(diagram_table(stack, recipe, first))
        first += len(stack)
    write_diagrams(pa.concat_tables(tables), out)
