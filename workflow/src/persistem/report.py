"""Tables as people read them."""

from __future__ import annotations

from pathlib import Path

from persistem.errors import PersistemError


def accuracy_text(table: Path) -> str:
    """An accuracy table over all foci and in focus, models pooled over defoci, one line per recipe, degrees and model.

    Raises PersistemError when ``table`` is not an accuracy table.
    """
    import pandas as pd

    try:
        rows = pd.read_csv(table, dtype={"degrees": str, "foci": str})
        rows = rows[(rows.training == "pooled") & rows.foci.isin(["all", "in-focus"])]
    except (OSError, ValueError, AttributeError) as error:
        raise PersistemError(f"{table}: not an accuracy table ({error})") from error
    rows = rows.assign(
        accuracy=[f"{a:.3f}" for a in rows.accuracy],
        interval=[
            f"[{low:.2f}, {high:.2f}]" if low == low else ""
            for low, high in zip(rows.ci_low, rows.ci_high, strict=True)
        ],
    )
    rows["column"] = rows.split + ", " + rows.foci
    rows["cell"] = rows.accuracy + " " + rows.interval
    order = list(dict.fromkeys(rows.column))
    wide = rows.pivot(index=["features", "degrees", "model"], columns="column", values="cell")
    wide = wide.loc[list(dict.fromkeys(zip(rows.features, rows.degrees, rows.model, strict=True))), order].fillna("")
    wide.columns.name = None
    return "\n".join(
        [
            "Accuracy, one model for all defoci. random: the paper's split, each MD seed alone; leave-seed-out: tested",
            "on an unseen MD seed. In brackets 95 %: over repetitions of the split, and over seeds.",
            "",
            wide.reset_index().to_string(index=False),
            "",
            f"every row: {table}; per defocus and n in the same file",
        ]
    )
