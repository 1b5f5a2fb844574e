"""Crystalline particles on a film, with vacuum beside it: a composite whose regions are known."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.errors import PersistemError
from persistem.specimens.layout import Discs
from persistem.specimens.slabs import cut, grid, repeats
from persistem.specimens.structures import crystal_cell
from persistem.trial.splice import crowded

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    from persistem.study import Imaging, Particles

#: Bump when composites of particles change for the same study.
VERSION = 1
#: Å between the discs of two particles; and between atoms of a particle and of the film, of which the film's go.
GAP, CONTACT = 2.0, 2.0
#: Å; two atoms of the film nearer than this across an edge of the field cannot both stay.
CLOSE = 1.0
#: Places that are tried for a particle.
TRIES = 200
#: Depth to which a particle sinks into the film, as a share of its diameter: it rests on it.
SUNK = 0.1
#: Waves of the film's edge along the field, and their amplitude as a share of it.
WAVES, SWING = 2, 0.04


def thickness(asked: Particles) -> float:
    """Thickness (Å) of the slab of a composite: of the thickest film with the largest particle on it."""
    return asked.film[1] + asked.diameter[1]


def particles(film: Atoms, asked: Particles, imaging: Imaging, seed: list[int]) -> tuple[Atoms, Discs]:
    """The atoms of a composite, in a cell of field² x ``imaging.thickness``, and what is where.

    The film is cut at a random place of its specimen, so that two composites of one differ. Particles are balls of a
    crystal in a random orientation (Shoemake, Graphics Gems III, 1992, 124), on the side of the film that the beam
    leaves or enters. They stay on the film and do not overlap. Heat moves their atoms as in Einstein's model.

    Parameters
    ----------
    film
        periodic in all directions
    asked
        ranges to draw from
    imaging
        of the field, without a margin: a composite is periodic across it
    seed
        of what is drawn

    Raises
    ------
    PersistemError
        if the film's atoms would appear twice in the field.
    """
    rng = np.random.default_rng([asked.seed, *seed])
    width = grid(imaging).width
    deep = rng.uniform(*asked.film)
    box = np.array([width, width, deep])
    if repeats(film.cell.array, box) is not None:
        cell = " x ".join(f"{side:.4g}" for side in film.cell.lengths())
        raise PersistemError(
            f"a film of {width:.4g} x {width:.4g} x {deep:.4g} Å: the specimen's cell of {cell} Å would appear twice in"
            " it; allowed: more material.repetitions, a smaller imaging.field or a thinner particles.film"
        )
    moved = film.copy()
    moved.positions += rng.uniform(0, 1, 3) @ film.cell.array
    moved.wrap()
    support = cut(moved, box)
    discs = _edge(asked, width, rng)
    support = support[discs.state(*support.positions[:, :2].T) == 0]
    placed = _placed(asked, discs, width, rng)
    discs = Discs(discs.boundary, discs.amplitude, discs.period, tuple(placed))
    balls = [_ball(asked, one, deep, rng) for one in placed]
    return _together(support, balls, np.array([width, width, imaging.thickness]), bool(rng.integers(2))), discs


def _edge(asked: Particles, width: float, rng: np.random.Generator) -> Discs:
    """Vacuum left of a wave, and no particles yet."""
    return Discs(float(rng.uniform(*asked.vacuum) * width), SWING * width, width / WAVES, ())


def _placed(asked: Particles, discs: Discs, width: float, rng: np.random.Generator) -> list[tuple[float, ...]]:
    """Centres and radii (Å) of discs on the film, until they cover a share of it that is drawn, or none fits."""
    points = (np.arange(256) + 0.5) * width / 256
    area = float((discs.state(points[None], points[:, None]) == 0).mean()) * width**2
    goal = rng.uniform(*asked.coverage) * area
    found: list[tuple[float, ...]] = []
    covered = 0.0
    while covered < goal:
        radius = float(np.exp(rng.uniform(*np.log(asked.diameter)))) / 2
        for x, y in rng.uniform(radius, width - radius, (TRIES, 2)).tolist() if 2 * radius < width else ():
            on_film = x - radius > discs.edge(y) + discs.amplitude
            if on_film and all(math.hypot(x - a, y - b) > radius + r + GAP for a, b, r in found):
                found.append((x, y, radius))
                covered += math.pi * radius**2
                break
        else:
            return found
    return found


def _ball(asked: Particles, disc: tuple[float, ...], deep: float, rng: np.random.Generator) -> Atoms:
    """A ball of a crystal above a film whose upper face is at z = ``deep`` (Å)."""
    from scipy.spatial.transform import Rotation

    x, y, radius = disc
    cell = crystal_cell(asked.crystals[int(rng.integers(len(asked.crystals)))])
    turned = Rotation.random(rng=rng).as_matrix()
    cell.set_cell(cell.cell.array @ turned.T, scale_atoms=True)
    # an atom, or a place between atoms, is at the centre alike
    cell.positions += rng.uniform(0, 1, 3) @ cell.cell.array
    ball = cut(cell, np.full(3, 2 * radius))
    ball = ball[np.linalg.norm(ball.positions - radius, axis=1) <= radius]
    ball.positions += [x - radius, y - radius, deep - 2 * radius * SUNK]
    ball.positions += rng.normal(scale=asked.displacement or 1e-12, size=ball.positions.shape)
    return ball


def _together(support: Atoms, balls: list[Atoms], box: NDArray[Any], turned: bool) -> Atoms:
    """Film and particles in one cell, in the middle of its height; atoms of the film in a particle's way are left out.

    ``turned``, the particles are below the film.
    """
    from ase import Atoms
    from scipy.spatial import cKDTree

    whole = Atoms(cell=box, pbc=(True, True, False))
    for ball in balls:
        whole += ball
    count = len(support)
    if len(whole) and count:
        way = cKDTree(whole.positions).query(support.positions, distance_upper_bound=CONTACT)[0] <= CONTACT
        support = support[~way]
    # the film is cut at random, so its atoms meet across the edges of the field
    del support[crowded(support, np.zeros(len(support), int), CLOSE)]
    whole += support
    whole.info["dropped"] = count - len(support)
    low, high = whole.positions[:, 2].min(), whole.positions[:, 2].max()
    whole.positions[:, 2] += (box[2] - low - high) / 2
    if turned:
        whole.positions[:, 2] = box[2] - whole.positions[:, 2]
    whole.set_cell(box)
    whole.pbc = (True, True, False)
    return whole
