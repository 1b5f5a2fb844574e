"""Users' own structures: elements, cells and frames are read right, or the file is refused with the reason."""

import bz2
import gzip
import json
import lzma

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write
from persistem.errors import PersistemError
from persistem.plan.plan import Plan
from persistem.specimens.own_structures import density, needs_types, read_own
from persistem.specimens.structures import import_structure, read_structure, unit_cell
from persistem.study import Material
from persistem.study.load import make_study
from support.studies import ROOT

FIELD = next(
    (folder / "shared/data/field" for folder in ROOT.parents if (folder / "shared/data/field").is_dir()),
    ROOT.parent / "shared/data/field",
)
real = pytest.mark.skipif(not FIELD.is_dir(), reason=f"the folder of users' files, {FIELD}, is not here")
TYPES = {1: "Ga", 2: "N"}
#: Atoms in another order than their numbers, so that a reader which sorts only some of its columns is seen.
GAN = bulk("GaN", "zincblende", a=4.5, cubic=True)
NUMBERS = {"Ga": 1, "N": 2}
BOX = "0 4.5 xlo xhi\n0 4.5 ylo yhi\n0 4.5 zlo zhi\n"
ORDER = [3, 7, 0, 5, 1, 6, 2, 4]


def data(style="atomic", hint="# {style}", box=BOX, head="", between="", line=None, first="LAMMPS data"):
    """A LAMMPS data file of ``GAN``: ``line`` gives the columns between the atom's number and x, by its element."""
    columns = {
        "atomic": lambda s: f"{NUMBERS[s]}",
        "charge": lambda s: f"{NUMBERS[s]} {1 if s == 'Ga' else -1}",
        "molecular": lambda s: f"1 {NUMBERS[s]}",
        "full": lambda s: f"1 {NUMBERS[s]} {1.0 if s == 'Ga' else -1.0}",
    }
    line = line or columns[style]
    atoms = "".join(f"{k + 1} {line(GAN[k].symbol)} {' '.join(map(str, GAN.positions[k]))}\n" for k in ORDER)
    hint = hint.format(style=style)
    return f"{first}\n\n8 atoms\n2 atom types\n{head}\n{box}\n{between}\nAtoms {hint}\n\n{atoms}"


def dump(columns="id type x y z", rows=None, box="pp pp pp\n0 4.5\n0 4.5\n0 4.5", before="", step=0):
    def row(k):
        x, y, z = GAN.positions[k]
        known = {"id": k + 1, "type": NUMBERS[GAN[k].symbol], "x": x, "y": y, "z": z, "element": GAN[k].symbol}
        known |= {"xu": x + 9, "yu": y, "zu": z, "xs": x / 4.5, "ys": y / 4.5, "zs": z / 4.5, "c_q": 1.5, "C": "C"}
        known |= {"typelabel": GAN[k].symbol, "mass": GAN[k].mass}
        return " ".join(str(known[column]) for column in columns.split())

    body = "\n".join(rows or [row(k) for k in ORDER])
    named = columns.replace("C", "element")
    head = f"{before}ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n8\nITEM: BOX BOUNDS {box}\n"
    return f"{head}ITEM: ATOMS {named}\n{body}\n"


def xyz(species, head='Lattice="4.5 0 0 0 4.5 0 0 0 4.5" Properties=species:S:1:pos:R:3'):
    rows = "".join(f"{species[a.symbol]} {' '.join(map(str, a.position))}\n" for a in GAN)
    return f"8\n{head}\n{rows}"


@pytest.fixture
def own(tmp_path):
    """Read a text as the user's file of a name."""

    def read(text, types=None, frame=None, name="mine.data"):
        path = tmp_path / name
        path.write_text(text)
        return read_own(path, types, frame)

    return read


def is_gan(atoms):
    """Whether atoms are those of ``GAN``, in the order of their numbers."""
    moved = atoms.cell.scaled_positions(atoms.positions - GAN.positions)
    same = list(atoms.numbers) == list(GAN.numbers) and np.abs(moved - np.round(moved)).max() < 1e-6
    return same and np.allclose(atoms.cell.array, GAN.cell.array) and density(atoms) == pytest.approx(density(GAN))


def refused(act, *arguments, **named):
    with pytest.raises(PersistemError) as error:
        act(*arguments, **named)
    sentence = str(error.value)
    assert "\n" not in sentence and "np." not in sentence
    return sentence


LABELS = "Atom Type Labels\n\n1 Ga\n2 N\n\nMasses\n\nGa 69.723\nN 14.007\n"


@pytest.mark.parametrize(
    ("text", "types"),
    [
        *[(data(style), TYPES) for style in ("atomic", "charge", "molecular", "full")],
        *[(data(style, hint=""), TYPES) for style in ("atomic", "charge", "full")],
        (data("charge", hint="# charge  "), TYPES),
        (data(between="Masses\n\n1 69.723 # Ga\n2 14.0067\n"), TYPES),
        (data(between=LABELS, line=lambda s: s), None),
        (data(between=LABELS, line=lambda s: s), TYPES),
        (data("full", between=LABELS, line=lambda s: f"1 {s} 0.0", hint=""), None),
        (data(between="Atom Type Labels\n\n1 bulk\n2 N\n", line=lambda s: {"Ga": "bulk", "N": "N"}[s]), TYPES),
        (data(box="4.5 0 0 avec\n0 4.5 0 bvec\n0 0 4.5 cvec\n0 0 0 abc origin\n"), TYPES),
        (data(box="-1 3.5 xlo xhi\n0 4.5 ylo yhi\n0 4.5 zlo zhi\n0.0 0 0 xy xz yz\n"), TYPES),
        (data(first="LAMMPS data file via write_data, version 2 Aug 2023, units = real"), TYPES),
    ],
)
def test_lammps_data_is_read(own, text, types):
    assert is_gan(own(text, types))


def test_columns_that_say_the_style_are_read_without_a_hint(own):
    molecules = {"Ga": "7 1", "N": "9 2"}
    assert is_gan(own(data(hint="", line=molecules.get), TYPES))
    flags = data("charge", hint="").replace("\n\n8 atoms", "\n\n8 atoms")
    head, _, rows = flags.partition("Atoms \n\n")
    rows = "".join(f"{row} 0 -1 2\n" for row in rows.splitlines())
    assert is_gan(own(f"{head}Atoms \n\n{rows}", TYPES))


def test_columns_that_could_be_two_styles_are_asked_for(own):
    says = refused(own, data(hint="", line={"Ga": "1 1", "N": "2 2"}.get), TYPES)
    assert "'Atoms # charge'" in says and "molecular" in says
    assert "'spin'" in refused(own, data(hint="# spin"), TYPES)
    assert "5 columns" in refused(own, data(hint="# full"), TYPES)


def test_styles_that_give_a_type_no_atom_are_doubted(own):
    spheres = {"Ga": "1 1 1", "N": "2 1 1"}.get  # type, diameter, density
    says = refused(own, data(hint="", line=spheres), TYPES)
    assert "full, sphere" in says and "charge" not in says
    assert is_gan(own(data(hint="# sphere", line=spheres), TYPES))
    charges = {"Ga": "1 1", "N": "2 1"}.get
    assert "charge, bond" in refused(own, data(hint="", line=charges), TYPES)
    assert "all have by charge" in refused(own, data(hint="# molecular", line=charges), TYPES)
    assert is_gan(own(data(hint="# charge", line=charges).replace("2 atom types", "3 atom types"), TYPES))
    flags = "".join(f"{row} 0 0 1\n" for row in data(hint="").split("Atoms \n\n")[1].splitlines())
    assert is_gan(own(data(hint="").split("Atoms \n\n")[0] + "Atoms \n\n" + flags, TYPES))


@pytest.mark.parametrize(
    ("text", "types"),
    [
        (dump(), TYPES),
        (dump("type id y x z".replace("y x z", "x y z")), TYPES),
        (dump("id type xs ys zs"), TYPES),
        (dump("id type xu yu zu c_q"), TYPES),
        (dump("id element x y z"), None),
        (dump("id typelabel x y z"), None),
        (dump("id type element x y z"), TYPES),
        (dump("id type C x y z"), TYPES),
        (dump("id type mass x y z"), TYPES),
        (dump(before="ITEM: UNITS\nmetal\nITEM: TIME\n0.5\n"), TYPES),
        (dump(box="pp pp ff\n0 4.5\n0 4.5\n0 4.5"), TYPES),
        (dump(box="xy xz yz pp pp pp\n0 4.5 0\n0 4.5 0\n0 4.5 0"), TYPES),
        (dump(box="abc origin pp pp pp\n4.5 0 0 0\n0 4.5 0 0\n0 0 4.5 0"), TYPES),
    ],
)
def test_dumps_are_read_by_types_whatever_they_are_called(own, text, types):
    for name in ("dump.lammpstrj", "dump.0", "film.txt"):
        assert is_gan(own(text, types, name=name))


def test_a_tilted_cell_is_that_of_lammps(own):
    box = "xy xz yz pp pp pp\n-1 6.5 2\n0 4.0 -1\n0 4.5 -0.5"
    tilted = own(dump(box=box), TYPES).cell.array
    assert np.allclose(tilted, [[4.5, 0, 0], [2, 3.5, 0], [-1, -0.5, 4.5]])
    box = "0 4.5 xlo xhi\n0 3.5 ylo yhi\n0 4.5 zlo zhi\n2 -1 -0.5 xy xz yz\n"
    assert np.allclose(own(data(box=box), TYPES).cell.array, tilted)


def test_dumps_of_several_frames_are_asked_which(own):
    text = dump() + dump(columns="id type xs ys zs", step=5).replace("4.5", "4.6")
    assert "2 frames" in (says := refused(own, text, TYPES)) and "frame: 0 to 1" in says
    assert [own(text, TYPES, frame).cell[0, 0] for frame in (0, 1, -1, -2)] == [4.5, 4.6, 4.6, 4.5]
    assert "frame = 2" in refused(own, text, TYPES, 2)


@pytest.mark.parametrize(
    ("text", "types", "says"),
    [
        (data(), None, "types: {1: Ga, 2: N}"),
        (data(), {1: "Ga"}, "atom type 2 has no element"),
        (data(), {1: "Ga", 2: "Xx"}, "'Xx' is not a chemical element"),
        (data(), {1: "Ga", 2: "X"}, "'X' is not a chemical element"),
        (data(between="Masses\n\n1 14.007\n2 69.723\n"), TYPES, "type 1 weighs 14.007, but Ga weighs 69.723"),
        (data(between="Masses\n\n1 69.723\n2 14.007\n"), {1: "Zn", 2: "N"}, "Ga is nearest"),
        (data(between=LABELS, line=lambda s: s), {1: "N", 2: "Ga"}, "it calls type 1 Ga"),
        (data(between=LABELS.replace("14.007", "15.999"), line=lambda s: s), None, "type 2 weighs 15.999"),
        (data(first="LAMMPS data file via write_data, units = nano"), TYPES, "nano"),
        (data(box=""), TYPES, "no line 'xlo xhi'"),
        (data(box="0 1 xlo xhi\n0 1 ylo yhi\n0 1 zlo zhi\n"), TYPES, "1 x 1 x 1 Å"),
        (data().rsplit("\n", 2)[0], TYPES, "7 atoms instead of 8"),
        (data().replace("\n8 2", "\n1 2"), TYPES, "two atoms have one number"),
        (dump(), None, "types: {1: Ga, 2: N}"),
        (dump("id type C x y z"), None, "every type C"),
        (dump("id type element x y z"), {1: "N", 2: "Ga"}, "it calls type 1 Ga"),
        (dump("id type mass x y z"), {1: "N", 2: "Ga"}, "type 1 weighs 69.723"),
        (dump(before="ITEM: UNITS\nlj\n"), TYPES, "lj"),
        (dump("id type x y"), TYPES, "no positions"),
        (dump(rows=["1 1 0 0 0"]), TYPES, "1 atoms instead of 8"),
        (dump().replace("ITEM: BOX", "ITEM: BAG"), TYPES, "no cell"),
        (dump().replace("8 2", "8 x"), TYPES, "calls a type x"),
        (dump().replace("\n8 2", "\n1 2"), TYPES, "two atoms have one number"),
        (dump(box="ff ff ss\n0 4.5\n0 4.5\n0 4.5"), TYPES, "its boundaries are ff ff ss"),
        (dump(box="pp pp sm\n0 4.5\n0 4.5\n0 4.5"), TYPES, "its boundaries are pp pp sm"),
    ],
)
def test_files_of_lammps_that_say_too_little_or_contradict_are_refused(own, text, types, says):
    assert says in refused(own, text, types)


def test_xyz_that_numbers_its_atoms_takes_their_elements_from_types(own):
    for head in (
        'Lattice="4.5 0 0 0 4.5 0 0 0 4.5" Properties=species:S:1:pos:R:3',
        'Lattice="4.5 0 0 0 4.5 0 0 0 4.5" Properties=species:I:1:pos:R:3',
        'Lattice="4.5 0 0 0 4.5 0 0 0 4.5" Properties=type:I:1:pos:R:3 pbc="T T T"',
    ):
        assert is_gan(own(xyz(NUMBERS, head), TYPES, name="mine.xyz"))
        assert "its atoms are numbers" in refused(own, xyz(NUMBERS, head), name="mine.xyz")
        assert "atom type 2" in refused(own, xyz(NUMBERS, head), {1: "Ga"}, name="mine.xyz")
    assert is_gan(own(xyz({"Ga": "Ga", "N": "N"}), name="mine.xyz"))
    assert is_gan(own(xyz({"Ga": 31, "N": 7}), {31: "Ga", 7: "N"}, name="mine.xyz"))
    numbers = 'Lattice="4.5 0 0 0 4.5 0 0 0 4.5" Properties=Z:I:1:pos:R:3'
    assert is_gan(own(xyz({"Ga": 31, "N": 7}, numbers), name="mine.xyz"))
    assert "Ga, which is not in types" in refused(own, xyz({"Ga": "Ga", "N": "N"}), {1: "Si"}, name="mine.xyz")
    assert "no three-dimensional cell" in refused(own, xyz(NUMBERS, "Timestep: 0"), TYPES, name="mine.xyz")


def test_a_dump_in_binary_has_no_elements(tmp_path):
    (tmp_path / "dump.bin").write_bytes(b"\x00" * 400)
    assert "dump.bin" in refused(read_own, tmp_path / "dump.bin", TYPES)


#: What a CIF says of each of its sites.
SITES = """loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
"""
CIF = f"""data_x
_cell_length_a 4.5
_cell_length_b 4.5
_cell_length_c 4.5
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt 'P 1'
{SITES}"""


def test_partly_occupied_sites_are_refused(tmp_path, own):
    sites = [f"{a.symbol}{k} {a.symbol} {' '.join(map(str, a.position / 4.5))}" for k, a in enumerate(GAN)]
    assert is_gan(own(CIF + "".join(f"{site} 1.0\n" for site in sites), name="whole.cif"))
    partly = CIF + "".join(f"{site} {0.5 if k == 3 else 1}\n" for k, site in enumerate(sites))
    assert "partly occupied (N 0.5)" in refused(own, partly, name="partly.cif")
    shared = (
        CIF + "".join(f"{site} 1.0\n" for site in sites[1:]) + f"{sites[0]} 0.7\n{sites[0].replace('Ga', 'Al')} 0.3\n"
    )
    assert "Al 0.3, Ga 0.7" in refused(own, shared, name="shared.cif")
    atoms = GAN.copy()
    atoms.arrays["occupancies"] = np.array([1, 1, 0.4, 1, 1, 1, 1, 1])
    write(tmp_path / "occupancies.xyz", atoms, format="extxyz")
    assert "Ga 0.4" in refused(read_own, tmp_path / "occupancies.xyz")
    assert "Ga 0.4" in refused(unit_cell, Material(file=str(tmp_path / "occupancies.xyz")))


WURTZITE = f"""data_GaN
_cell_length_a 3.189
_cell_length_b 3.189
_cell_length_c 5.185
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 120
{{symmetry}}
{SITES}Ga1 Ga 0.333333 0.666667 0.0 {{gallium}}
N1 N 0.333333 0.666667 0.377 {{nitrogen}}
"""


@pytest.mark.parametrize(
    ("symmetry", "formula"),
    [
        ("_symmetry_Int_Tables_number 186", "Ga2N2"),
        ("_space_group_name_H-M_alt 'P 63 m c'", "Ga2N2"),
        ("_space_group_IT_number 1", "GaN"),
        ("_space_group_name_Hall 'P 6c -2c'", ""),
        ("_space_group_ssg_name 'P 63mc(00g)'", ""),
        ("", ""),
    ],
)
def test_a_cif_states_its_symmetry_or_is_refused(own, symmetry, formula):
    text = WURTZITE.format(symmetry=symmetry, gallium=1, nitrogen=1)
    if formula:
        assert own(text, name="mine.cif").get_chemical_formula() == formula
    else:
        says = refused(own, text, name="mine.cif")
        assert "data_GaN states no symmetry" in says and ("Hall symbol" in says) == ("Hall" in symmetry)


def test_occupancies_that_a_cif_leaves_open_are_whole(own):
    def says(gallium, nitrogen):
        text = WURTZITE.format(symmetry="_space_group_IT_number 186", gallium=gallium, nitrogen=nitrogen)
        return refused(own, text, name="mine.cif")

    text = WURTZITE.format(symmetry="_space_group_IT_number 186", gallium="?", nitrogen=".")
    assert own(text, name="mine.cif").get_chemical_formula() == "Ga2N2"
    assert "partly occupied (N 0.3)" in says("?", 0.3)
    assert "an occupancy of 'half'" in says(1, "half")


def changed(**changes):
    atoms = GAN.copy()
    for name, value in changes.items():
        getattr(atoms, f"set_{name}")(value)
    return atoms


@pytest.mark.parametrize(
    ("atoms", "says"),
    [
        (changed(cell=None), "no three-dimensional cell"),
        (changed(cell=[1, 1, 1]), "a cell of 1 x 1 x 1 Å"),
        (changed(cell=[100, 100, 100]), "0.000556 g/cm³"),
        (Atoms("GaN", [[0, 0, 0], [0.7, 0.7, 0.7]], cell=[1.5, 1.5, 1.5]), "41.2 g/cm³"),
        (changed(positions=GAN.positions * [1, 1, np.nan]), "not finite"),
        (changed(positions=GAN.positions + 1e7 * np.eye(8, 3)), "cells away"),
        (changed(positions=GAN.positions / 4.5), "Å apart"),
        (changed(positions=np.where(np.eye(8, 3), 4.4, GAN.positions) * [[0, 0, 1]] + [[0, 0, 0]]), "Å apart"),
        (changed(masses=[14.0] * 8), "an atom of Ga weighs 14"),
        (changed(chemical_symbols=["X", *GAN.get_chemical_symbols()[1:]]), "atom 1 has no element"),
    ],
)
def test_what_no_specimen_is_is_refused(tmp_path, atoms, says):
    write(tmp_path / "mine.xyz", atoms, format="extxyz")
    assert says in refused(read_own, tmp_path / "mine.xyz")


def test_atoms_that_overlap_through_the_periodic_cell_are_seen(tmp_path):
    atoms = Atoms("Si3", [[0.1, 2, 2], [5.3, 2, 2], [2.5, 2, 2]], cell=[[5.4, 0, 0], [2.7, 4.0, 0], [0, 0, 4.0]])
    write(tmp_path / "mine.xyz", atoms, format="extxyz")
    assert "atoms 1 and 2 are 0.2 Å apart" in refused(read_own, tmp_path / "mine.xyz")


def test_a_poscar_without_symbols_takes_its_elements_from_types(tmp_path, own):
    ordered = GAN[np.argsort(-GAN.numbers, kind="stable")]
    write(tmp_path / "POSCAR", ordered, format="vasp", direct=True)
    lines = (tmp_path / "POSCAR").read_text().splitlines()
    assert lines[5].split() == ["Ga", "N"]

    def poscar(comment, symbols=()):
        return "\n".join([comment, *lines[1:5], *symbols, *lines[6:], ""])

    for text, types in (
        (poscar("generated In Ga furnace"), TYPES),
        (poscar("Ga N"), None),
        (poscar("Ga N"), TYPES),
        (poscar("generated In Ga furnace", [lines[5]]), None),
    ):
        assert list(own(text, types, name="POSCAR").symbols) == list(ordered.symbols)
        assert needs_types(tmp_path / "POSCAR") == ("In" in text and types is not None)
    assert "no line of symbols" in refused(own, poscar("generated In Ga furnace"), name="POSCAR")
    assert "says N Ga, but types" in refused(own, poscar("N Ga"), TYPES, name="POSCAR")
    assert "atom type 2 has no element" in refused(own, poscar("mine"), {1: "Ga"}, name="POSCAR")


def test_cells_that_are_open_across_the_beam_are_refused(tmp_path, own):
    for pbc, says in {(0, 0, 0): "pbc = F F F", (1, 0, 1): "pbc = T F T", (1, 1, 0): "", (1, 1, 1): ""}.items():
        write(tmp_path / "mine.xyz", changed(pbc=pbc), format="extxyz")
        if says:
            assert says in refused(read_own, tmp_path / "mine.xyz")
        else:
            assert is_gan(read_own(tmp_path / "mine.xyz"))


def test_a_column_of_elements_that_holds_numbers_names_none(tmp_path):
    for text, asked in ((dump("id element x y z"), False), (dump("id type x y z").replace("type", "element"), True)):
        (tmp_path / "a.dump").write_text(text)
        assert needs_types(tmp_path / "a.dump") == asked


def test_dense_and_light_matter_is_read(tmp_path):
    for atoms in (bulk("Os", a=2.735, c=4.319), bulk("C", "diamond", a=3.567), bulk("Li", a=3.51)):
        write(tmp_path / "mine.xyz", atoms, format="extxyz")
        assert len(read_own(tmp_path / "mine.xyz")) == len(atoms)


def test_isotopes_and_rounded_masses_are_those_of_their_element(own):
    from persistem.specimens.lammps_files import mass_fits

    fitting = [
        ("H", 1.0),
        ("H", 2.014),
        ("Ga", 70.925),
        ("Ga", 70.0),
        ("Si", 28),
        ("N", 14),
        ("Li", 6.015),
        ("B", 10.01),
    ]
    assert all(mass_fits(mass, element) for element, mass in fitting)
    others = [("Ga", 14.007), ("Zn", 69.723), ("Co", 58.6934), ("C", 1.0), ("N", 15.999), ("H", 12.011)]
    assert not any(mass_fits(mass, element) for element, mass in others)


@pytest.mark.parametrize(
    ("column", "values", "says"),
    [
        ("mass:R:1", (69.723, 14.007), ""),
        ("mass:R:1", (14.0, 14.0), "an atom of Ga weighs 14"),
        ("Masses:R:1", (69.723, 15.999), "an atom of N weighs 15.999"),
        ("Occupancy:R:1", (1.0, 1.0), ""),
        ("Occupancy:R:1", (1.0, 0.5), "partly occupied (N 0.5)"),
        ("OCC:I:1", (1, 0), "partly occupied (N 0)"),
        ("occ:S:1", ("full", "half"), "its column occ is not one number for each atom"),
    ],
)
def test_masses_and_occupancies_count_whatever_their_column_is_called(own, column, values, says):
    head, comment, *rows = xyz({"Ga": "Ga", "N": "N"}).splitlines()
    rows = [f"{row} {values[0] if row.startswith('Ga') else values[1]}" for row in rows]
    text = "\n".join([head, f"{comment}:{column}", *rows, ""])
    if says:
        assert says in refused(own, text, name="mine.xyz")
    else:
        assert is_gan(own(text, name="mine.xyz"))


def test_several_frames_are_asked_which_and_the_choice_is_in_the_summary(tmp_path):
    other = changed(chemical_symbols=["Si"] * 8)
    write(tmp_path / "two.xyz", [GAN, other], format="extxyz")
    assert "frame: 0 to 1" in refused(read_own, tmp_path / "two.xyz")
    import_structure(tmp_path / "two.xyz", None, tmp_path / "out", frame=-1)
    assert set(read_structure(tmp_path / "out/structure.extxyz").symbols) == {"Si"}
    assert json.loads((tmp_path / "out/summary.json").read_text())["frame"] == -1
    write(tmp_path / "one.xyz", GAN, format="extxyz")
    import_structure(tmp_path / "one.xyz", None, tmp_path / "only")
    assert "frame" not in json.loads((tmp_path / "only/summary.json").read_text())


@pytest.mark.parametrize(("pack", "suffix"), [(gzip, "gz"), (bz2, "bz2"), (lzma, "xz")])
def test_packed_files_are_read(tmp_path, pack, suffix):
    texts = {"mine.data": (data(), TYPES), "dump.lammpstrj": (dump(), TYPES), "n.xyz": (xyz(NUMBERS), TYPES)}
    texts["mine.xyz"] = (xyz({"Ga": "Ga", "N": "N"}), None)
    for name, (text, types) in texts.items():
        with pack.open(tmp_path / f"{name}.{suffix}", "wt") as file:
            file.write(text)
        assert is_gan(read_own(tmp_path / f"{name}.{suffix}", types))
        assert needs_types(tmp_path / f"{name}.{suffix}") == (types is not None)


def test_a_study_asks_for_types_and_keeps_its_digest_without_a_frame(tmp_path):
    for name, text in {
        "a.data": data(),
        "b.lammpstrj": dump(),
        "c.xyz": xyz(NUMBERS),
        "d.data": data(between=LABELS),
    }.items():
        (tmp_path / name).write_text(text)
    listed = [
        {"path": str(tmp_path / f), "state": f[0], "seed": 1} for f in ("a.data", "b.lammpstrj", "c.xyz", "d.data")
    ]
    says = refused_study(listed)
    assert all(f"structures[{k}].types" in says for k in range(3)) and "structures[3]" not in says
    typed = [one | {"types": TYPES} for one in listed]
    plain = Plan(make_study({"structures": typed}))
    assert "frame" not in plain.settings("specimens", plain.digest("specimens", "a-s01"))
    framed = Plan(make_study({"structures": [one | {"frame": 0} for one in typed]}))
    assert framed.digest("specimens", "a-s01") != plain.digest("specimens", "a-s01")


def test_check_reads_the_structures_of_a_study(tmp_path, monkeypatch, capsys):
    from persistem.commands.cli import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "two.dump").write_text(dump() + dump(step=5))
    (tmp_path / "wrong.data").write_text(data(between="Masses\n\n1 14.007\n2 69.723\n"))
    one = {"path": "two.dump", "state": "a", "seed": 1, "types": TYPES}
    other = {"path": "wrong.data", "state": "b", "seed": 1, "types": TYPES}
    (tmp_path / "bad.yaml").write_text(json.dumps({"structures": [one, other]}))
    (tmp_path / "good.yaml").write_text(json.dumps({"structures": [one | {"frame": 1}]}))
    assert main(["check", "bad.yaml", "good.yaml"]) == 1
    out, err = capsys.readouterr()
    assert "bad.yaml: structures[0]: two.dump: 2 frames" in err
    assert "bad.yaml: structures[1]: wrong.data: type 1 weighs 14.007" in err
    assert "two.dump: Ga4N4, 6.1 g/cm³, frame 1" in out and "good.yaml: study 'good'" in out


def refused_study(structures):
    with pytest.raises(PersistemError) as error:
        make_study({"structures": structures})
    return str(error.value)


@real
@pytest.mark.parametrize(
    ("name", "types", "says"),
    [
        ("dump.lammpstrj", TYPES, ""),
        ("charge_nohint.data", TYPES, ""),
        ("labelled.data", None, ""),
        ("labelled.data", TYPES, ""),
        ("partial.cif", None, "partly occupied"),
        ("wrong_mass_order.data", TYPES, "type 1 weighs 14.007"),
        ("two_frames.extxyz", None, "2 frames"),
    ],
)
def test_files_as_users_have_them(name, types, says):
    if says:
        assert says in refused(read_own, FIELD / name, types)
    else:
        atoms = read_own(FIELD / name, types)
        assert atoms.get_chemical_formula() == "Ga32N32" and density(atoms) == pytest.approx(6.10, abs=0.01)
