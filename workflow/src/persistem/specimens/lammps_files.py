"""LAMMPS' data files and text dumps: atoms whose types are numbers or labels.

ASE reads such files too, but it takes types for atomic numbers, asks for an atom style where the columns tell it, mixes
labels up where atoms are not in order, and does not look at masses and units.
"""

from __future__ import annotations

import bz2
import gzip
import itertools
import lzma
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from persistem.errors import PersistemError

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

#: Column of the type and of x in each atom style (docs.lammps.org/read_data.html); image flags may follow z.
#: Without a hint only the first six are taken; the others are those that they could be mistaken for.
STYLES = {
    "atomic": (1, 2),
    "charge": (1, 3),
    "bond": (2, 3),
    "angle": (2, 3),
    "molecular": (2, 3),
    "full": (2, 4),
    "sphere": (1, 4),
    "ellipsoid": (1, 4),
    "peri": (1, 4),
    "body": (1, 4),
    "edpd": (1, 4),
    "electron": (1, 5),
    "template": (1, 5),
    "line": (2, 5),
    "tri": (2, 5),
    "bpm/sphere": (2, 5),
}
USUAL = set(list(STYLES.values())[:6])
WHOLE = re.compile(r"[-+]?\d+")
#: The units of LAMMPS whose lengths are Å and whose masses are g/mol.
UNITS = ("metal", "real")
#: What a dump's columns of positions are called: as they are, unwrapped, and both in units of the cell.
POSITIONS = (("x", "y", "z"), ("xu", "yu", "zu"), ("xs", "ys", "zs"), ("xsu", "ysu", "zsu"))
#: The section of a data file that a line opens.
SECTION = re.compile(
    r"\s*(Atoms|Velocities|Masses|Ellipsoids|Lines|Triangles|Bodies|Bonds|Angles|Dihedrals|Impropers"
    r"|Atom Type Labels|[A-Z]\w* Type Labels|(?:[A-Z]\w* ){1,2}Coeffs)\s*(?:#\s*(.*?)\s*)?$"
)
HEAD = 30  # lines in which a file says what it is
#: Characters of a line that are read there.
LONGEST = 10_000
PACKED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}


@dataclass
class Frame:
    """Atoms as LAMMPS writes them.

    ``types`` (atoms,) as written, a number or a label; ``names`` (atoms,) what a dump calls their elements, or None;
    ``positions`` (atoms, 3) and ``cell`` (3, 3) in Å; ``labels`` and ``masses`` (g/mol) of types; where a dump has
    masses, ``mass_of_atoms`` (atoms,).
    """

    types: NDArray[np.str_]
    names: NDArray[np.str_] | None
    positions: NDArray[np.float64]
    cell: NDArray[np.float64]
    labels: dict[str, str]
    masses: dict[str, float]
    mass_of_atoms: NDArray[np.float64] | None = None


def open_text(path: Path) -> IO[str]:
    """Open a text file, packed by gzip, bzip2 or xz or not."""
    with open(path, "rb") as file:
        start = file.read(5)
    unpack: Any = next((opened for magic, opened in PACKED.items() if start.startswith(magic)), open)
    stream: IO[str] = unpack(path, "rt")
    return stream


def head_of(path: Path, lines: int = HEAD) -> list[str]:
    """The first lines of a text file; none of one that is not text. Raises PersistemError if it cannot be read."""
    try:
        with open_text(path) as file:
            return [line for _ in range(lines) if (line := file.readline(LONGEST))]
    except UnicodeDecodeError:
        return []
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise PersistemError(f"{path}: cannot be read ({error})") from error


def kind_of(path: Path) -> str:
    """``data`` or ``dump`` if LAMMPS wrote the file, by its first lines, else an empty string."""
    head = head_of(path)
    if any(re.match(r"ITEM: (TIMESTEP|UNITS|TIME|NUMBER OF ATOMS)\b", line) for line in head[:2]):
        return "dump"
    text = "".join(head)
    if all(re.search(rf"^\s*\d+\s+{what}\s*(#.*)?$", text, re.M) for what in ("atoms", "atom types")):
        return "data"
    return ""


def has_elements(path: Path) -> bool:
    """Whether a file of LAMMPS names elements, by its first lines: type labels, or a column of names, not numbers."""
    with open_text(path) as file:
        for line in itertools.islice(file, 10_000):
            if line.startswith("ITEM: ATOMS"):
                columns = dict(zip(line.split()[2:], next(file, "").split(), strict=False))
                return not columns.get("element", columns.get("typelabel", "1")).isdigit()
            section = SECTION.match(line)
            if section and section[1] in ("Atom Type Labels", "Atoms"):
                return section[1] != "Atoms"
    return False


def chosen(path: Path, count: int, frame: int | None) -> int:
    """The frame of ``count`` that is read, from 0: ``frame``, from the end if negative, or the only one.

    Raises PersistemError if there are several and none is chosen, or there is no such frame.
    """
    if frame is None and count > 1:
        raise PersistemError(f"{path}: {count} frames; choose one: frame: 0 to {count - 1}, or -1 for the last")
    wanted = frame or 0
    if not -count <= wanted < count:
        raise PersistemError(f"{path}: frame = {wanted}: it has {count}; allowed are {-count} to {count - 1}")
    return wanted % count


def read_lammps(path: Path, types: dict[int, str] | None, frame: int | None) -> Atoms:
    """A data file, or one frame of a dump, as periodic atoms.

    ``types`` are the elements of the atom types, ``frame`` counts from 0, or from the end if negative.

    Raises
    ------
    PersistemError
        if the file is damaged or not in Å, a type has no element, an element contradicts a label or a mass, or the
        frame is not chosen among several.
    """
    from ase import Atoms

    try:
        if kind_of(path) == "data":
            chosen(path, 1, frame)
            found = _read_data(path)
        else:
            found = _read_dump(path, frame)
    except (OSError, EOFError, ValueError, IndexError, lzma.LZMAError) as error:
        raise PersistemError(f"{path}: not a whole file of LAMMPS ({error})") from error
    return Atoms(_elements(path, found, types), positions=found.positions, cell=found.cell, pbc=True)


def _read_data(path: Path) -> Frame:
    """A data file; image flags are left out, as atoms are moved into the cell anyway."""
    section, style, header, rows = "", "", "", []
    labels: dict[str, str] = {}
    masses: dict[str, float] = {}
    with open_text(path) as file:
        first = next(file, "")
        _check_units(path, found[1] if (found := re.search(r"units = (\w+)", first)) else "")
        for line in file:
            if opens := SECTION.match(line):
                section = opens[1]
                style = opens[2] or "" if section == "Atoms" else style
                continue
            fields = line.split("#")[0].split()
            if not fields:
                continue
            if not section:
                header += line.split("#")[0] + "\n"
            elif section == "Atoms":
                rows.append(fields)
            elif section == "Masses":
                masses[fields[0]] = float(fields[1])
            elif section == "Atom Type Labels":
                labels[fields[0]] = fields[1]
    atoms = _in_header(header, "atoms")
    if len(rows) != atoms:
        raise ValueError(f"{len(rows)} atoms instead of {atoms}")
    known = {str(k + 1): str(k + 1) for k in range(_in_header(header, "atom types"))}
    known |= {label: number for number, label in labels.items()}
    of_type, of_x = _columns(path, style.split()[0] if style else "", rows, known)
    table = np.array([[fields[k] for k in (0, of_type, of_x, of_x + 1, of_x + 2)] for fields in rows])
    table = table[np.argsort(table[:, 0].astype(int))]
    if len(np.unique(table[:, 0].astype(int))) < atoms:
        raise ValueError("two atoms have one number")
    return Frame(table[:, 1], None, table[:, 2:].astype(float), _data_cell(path, header), labels, masses)


def _in_header(header: str, what: str) -> int:
    found = re.search(rf"^\s*(\d+)\s+{what}\s*$", header, re.M)
    if not found:
        raise ValueError(f"its header does not say how many {what}")
    return int(found[1])


def _data_cell(path: Path, header: str) -> NDArray[np.float64]:
    """The cell (rows, Å) of a data file: orthogonal, restricted or general triclinic."""
    values = {
        found[2]: [float(x) for x in found[1].split()]
        for found in re.finditer(
            r"^\s*([-+.\deE \t]+?)\s+(xlo xhi|ylo yhi|zlo zhi|xy xz yz|avec|bvec|cvec)\s*$", header, re.M
        )
    }
    if "avec" in values:
        return np.array([values["avec"], values["bvec"], values["cvec"]])
    sides = ("xlo xhi", "ylo yhi", "zlo zhi")
    if missing := [side for side in sides if side not in values]:
        raise PersistemError(f"{path}: no line '{missing[0]}' in its header, so it has no cell")
    xy, xz, yz = values.get("xy xz yz", (0.0, 0.0, 0.0))
    x, y, z = (values[side][1] - values[side][0] for side in sides)
    return np.array([[x, 0, 0], [xy, y, 0], [xz, yz, z]])


def _columns(path: Path, style: str, rows: list[list[str]], known: dict[str, str]) -> tuple[int, int]:
    """Where a data file has type and x: by the style after ``Atoms #``, else by what the columns can be.

    ``known`` are the numbers of the types by what atoms may call them. Columns of unusual styles count if each type
    has an atom by them.
    """
    widths = {len(fields) for fields in rows}
    if style and style not in STYLES:
        raise PersistemError(f"{path}: atom style {style!r}; allowed are {', '.join(STYLES)}")
    if len(widths) != 1:
        raise ValueError(f"lines of {' and '.join(map(str, sorted(widths)))} columns in the section Atoms")
    width = widths.pop()
    table = np.array(rows)
    fitting = {columns for columns in STYLES.values() if _can_be(table, columns, known)}
    full = {at for at in fitting if {known[kind] for kind in table[:, at[0]]} == set(known.values())}
    if style:
        if STYLES[style] not in fitting:
            raise PersistemError(
                f"{path}: the {width} columns of the section Atoms are not those of atom style {style!r}"
            )
        if full and STYLES[style] not in full:
            raise PersistemError(
                f"{path}: by 'Atoms # {style}' some atom types have no atoms, but all have by {_names(full)};"
                " correct the style, or the atom types in the header"
            )
        return STYLES[style]
    could = (fitting & USUAL) | full
    # flags of images are whole numbers, positions hardly ever
    could = {at for at in could if not _whole(table[:, at[1] : at[1] + 3])} or could
    if len(could) == 1 and could <= USUAL:
        return could.pop()
    names = _names(could or set(STYLES.values()))
    raise PersistemError(
        f"{path}: its {width} columns do not tell the atom style; change the line 'Atoms' to, for example,"
        f" 'Atoms # {names.split(', ')[0]}' (allowed: {names})"
    )


def _names(columns: set[tuple[int, int]]) -> str:
    return ", ".join(name for name, at in STYLES.items() if at in columns)


def _can_be(table: NDArray[np.str_], columns: tuple[int, int], known: dict[str, str]) -> bool:
    of_type, of_x = columns
    flags = table.shape[1] - of_x - 3
    return flags in (0, 3) and _whole(table[:, of_x + 3 :]) and set(table[:, of_type].tolist()) <= set(known)


def _whole(table: NDArray[np.str_]) -> bool:
    return all(WHOLE.fullmatch(value) for value in table.ravel().tolist())


def _read_dump(path: Path, frame: int | None) -> Frame:
    """A frame of a text dump; its units are said once, before the first."""
    with open_text(path) as file:
        wanted = chosen(path, sum(line.startswith("ITEM: TIMESTEP") for line in file), frame)
    with open_text(path) as file:
        for k, items in enumerate(_dump_frames(file)):
            _check_units(path, "".join(items.get("UNITS", [])).strip())
            if k == wanted:
                return _dump_frame(path, items)
    raise ValueError("it ends early")


def _dump_frames(file: IO[str]) -> Iterator[dict[str, list[str]]]:
    """The items of each frame: the line that opens one, and the lines below it."""
    items: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in file:
        if not line.startswith("ITEM: "):
            lines.append(line)
            continue
        name = line[6:].strip()
        if name in items and name == "TIMESTEP":
            yield items
            items = {}
        lines = items[name] = []
    yield items


def _dump_frame(path: Path, items: dict[str, list[str]]) -> Frame:
    head = {name.split()[0]: name for name in items}
    if "ATOMS" not in head or "BOX" not in head or "NUMBER" not in head:
        raise PersistemError(f"{path}: this dump has no atoms, or no cell")
    names = head["ATOMS"].split()[1:]
    rows = [line.split() for line in items[head["ATOMS"]] if line.strip()]
    atoms = int(items[head["NUMBER"]][0])
    if len(rows) != atoms or any(len(row) != len(names) for row in rows):
        raise ValueError(f"{len(rows)} atoms instead of {atoms}, or lines of other columns than {' '.join(names)}")
    table = dict(zip(names, np.array(rows).T, strict=True))
    if "id" in table:
        order = np.argsort(numbers := table["id"].astype(int))
        if len(np.unique(numbers)) < atoms:
            raise ValueError("two atoms have one number")
        table = {name: column[order] for name, column in table.items()}
    called = next((columns for columns in POSITIONS if set(columns) <= set(names)), None)
    if called is None:
        raise PersistemError(f"{path}: this dump has no positions (columns x y z); it has {' '.join(names)}")
    positions = np.stack([table[column].astype(float) for column in called], axis=1)
    _check_boundaries(path, head["BOX"])
    cell = _dump_cell(head["BOX"], items[head["BOX"]])
    if "s" in called[0]:
        positions = positions @ cell
    labelled = table.get("element", table.get("typelabel"))
    kinds = table.get("type", labelled)
    if kinds is None:
        raise PersistemError(f"{path}: this dump has neither types nor elements; it has {' '.join(names)}")
    mass = table["mass"].astype(float) if "mass" in table else None
    return Frame(kinds, labelled, positions, cell, {}, {}, mass)


def _check_boundaries(path: Path, head: str) -> None:
    """Refuse a cell that is open or shrinks to its atoms; a slab may end at a fixed cell along z, the beam."""
    kinds = re.findall(r"\b[pfsm]{2}\b", head)
    if kinds and not (kinds[:2] == ["pp", "pp"] and kinds[2] in ("pp", "ff")):
        raise PersistemError(
            f"{path}: its boundaries are {' '.join(kinds)}, but specimens are periodic; allowed are pp, and ff along z"
        )


def _dump_cell(head: str, lines: list[str]) -> NDArray[np.float64]:
    """The cell (rows, Å) of a dump, whose bounds are those of the box around a triclinic cell."""
    bounds = np.array([[float(x) for x in line.split()] for line in lines[:3]])
    if "abc" in head.split():
        return bounds[:, :3]
    x, y, z = bounds[:, 1] - bounds[:, 0]
    xy, xz, yz = bounds[:, 2] if bounds.shape[1] > 2 else (0.0, 0.0, 0.0)
    return np.array([[x - abs(xy) - abs(xz), 0, 0], [xy, y - abs(yz), 0], [xz, yz, z]])


def _check_units(path: Path, units: str) -> None:
    if units and units not in UNITS:
        raise PersistemError(f"{path}: its units are LAMMPS' {units}; allowed are {' and '.join(UNITS)} (Å, g/mol)")


def _elements(path: Path, found: Frame, types: dict[int, str] | None) -> list[str]:
    """The element of each atom, by ``types``, else by the file's own names; what contradicts is refused."""
    from ase.data import atomic_numbers

    numbers = {label: number for number, label in found.labels.items()}
    called = {kind: found.labels.get(kind, "" if kind.isdigit() else kind) for kind in np.unique(found.types).tolist()}
    if found.names is not None:
        called = {kind: ", ".join(np.unique(found.names[found.types == kind])) for kind in called}
    # LAMMPS calls every element C unless it is told otherwise
    told = not (set(called.values()) == {"C"} and (types or len(called) > 1))
    elements: dict[str, str] = {}
    for kind, name in called.items():
        number = numbers.get(kind, kind)
        if types and number.isdigit():
            if int(number) not in types:
                raise PersistemError(f"{path}: atom type {number} has no element in types: {types}")
            elements[kind] = types[int(number)]
            if told and name in atomic_numbers and name != elements[kind]:
                raise PersistemError(f"{path}: it calls type {number} {name}, but types: {types}")
        elif told and name in atomic_numbers:
            elements[kind] = name
            if types and name not in types.values():
                raise PersistemError(f"{path}: it has {name}, which is not in types: {types}")
        else:
            called_so = f"a type {name or kind}" if told else "every type C, as LAMMPS does by default"
            raise PersistemError(
                f"{path}: it calls {called_so}; give the elements of the types, e.g. types: {{1: Ga, 2: N}}"
            )
        for mass in _masses(found, kind, number, name):
            _check_mass(path, number, mass, elements[kind])
    return [elements[kind] for kind in found.types]


def _masses(found: Frame, kind: str, *names: str) -> list[float]:
    """The masses that a file gives a type, by its number or its label."""
    listed = {found.masses[key] for key in (kind, *names) if key in found.masses}
    of_atoms = found.mass_of_atoms
    return sorted(listed | (set() if of_atoms is None else set(of_atoms[found.types == kind].tolist())))


def _check_mass(path: Path, kind: str, mass: float, element: str) -> None:
    from ase.data import atomic_masses, atomic_numbers, chemical_symbols

    if mass_fits(mass, element):
        return
    nearest = chemical_symbols[int(np.abs(atomic_masses[1:] - mass).argmin()) + 1]
    own = atomic_masses[atomic_numbers[element]]
    raise PersistemError(
        f"{path}: type {kind} weighs {mass:g}, but {element} weighs {own:g} and {nearest} is nearest; correct types"
    )


def mass_fits(mass: float, element: str) -> bool:
    """Whether atoms of an element may have a mass (g/mol): the standard one, rounded, or an isotope's."""
    from ase.data import atomic_masses, atomic_numbers

    own, off = atomic_masses[atomic_numbers[element]], np.abs(atomic_masses[1:] - mass)
    if abs(mass - own) <= max(0.003 * own, 0.5 if mass == round(mass) else 0.0):
        return True
    if (off <= 0.002 * mass).any():  # it is another element's
        return False
    return bool(abs(mass - own) <= 0.14 * own or (element == "H" and mass < 3.1))
