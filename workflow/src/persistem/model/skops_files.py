"""Files in the skops format: bytes that depend on the content alone, read without executing anything."""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from persistem.errors import PersistemError

#: More than any model has; larger files are not read.
MOST_BYTES = 256 * 2**20
MOST_SCHEMA = 16 * 2**20


def dumped(parts: dict[str, Any]) -> bytes:
    """A mapping of arrays and scikit-learn estimators in the skops format.

    skops numbers objects by their address in memory and dates the members of its archive; here both are fixed.
    """
    import skops.io

    numbers: dict[str, int] = {}

    def renumbered(state: Any) -> Any:
        if isinstance(state, list):
            return [renumbered(item) for item in state]
        if not isinstance(state, dict):
            return state
        fixed = {key: renumbered(value) for key, value in state.items() if key not in ("__id__", "file")}
        if "__id__" in state:
            fixed["__id__"] = 1 + numbers.setdefault(str(state["__id__"]), len(numbers))
        if state.get("__loader__") == "NdArrayNode" and "file" in state:
            address = state["file"].removesuffix(".npy")
            fixed["file"] = f"{1 + numbers.setdefault(address, len(numbers))}.npy"
            members[fixed["file"]] = archive.read(state["file"])
        return fixed

    members: dict[str, bytes] = {}
    with ZipFile(io.BytesIO(skops.io.dumps(parts))) as archive:
        schema = renumbered(json.loads(archive.read("schema.json")))
    members["schema.json"] = json.dumps(schema, indent=1).encode()
    buffer = io.BytesIO()
    with ZipFile(buffer, "w", ZIP_STORED) as fixed:
        for name, content in members.items():
            fixed.writestr(ZipInfo(name), content)
    return buffer.getvalue()


def loaded(path: Path, content: bytes) -> dict[str, Any]:
    """The mapping in the ``content`` of a skops file; ``path`` names it in messages.

    skops builds objects only if it knows every type in the file to be harmless: scikit-learn's estimators, arrays,
    plain values. Raises PersistemError for any other type, and if this is not a skops file.
    """
    import skops.io
    from sklearn.exceptions import InconsistentVersionWarning
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        with ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
        # nothing may unpack to more than its size in the file
        packed = any(member.compress_type != ZIP_STORED for member in members)
        if packed or sum(member.file_size for member in members) > len(content):
            raise ValueError("its members are compressed")
        if any(member.file_size > MOST_SCHEMA for member in members if member.filename.endswith(".json")):
            raise ValueError("its schema is larger than that of any model")
        with warnings.catch_warnings():
            # only coefficients are used; every version of scikit-learn has them
            warnings.simplefilter("ignore", InconsistentVersionWarning)
            parts = skops.io.loads(content, trusted=[])
    except UntrustedTypesFoundException as error:
        unknown = str(error).splitlines()[0].partition(":")[2].strip(" .")
        raise PersistemError(
            f"{path}: holds the types {unknown}, which no model needs; refused, and nothing of it was executed"
        ) from error
    except Exception as error:  # whatever zipfile, json, NumPy or skops raise on a foreign file
        raise PersistemError(f"{path}: not a skops file ({one_line(error)})") from error
    if type(parts) is not dict:
        raise PersistemError(f"{path}: holds {type(parts).__name__}, not the parts of a model")
    return parts


def one_line(error: Exception) -> str:
    """The type and message of an exception on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
