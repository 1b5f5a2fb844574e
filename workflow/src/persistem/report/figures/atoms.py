"""Pictures of atoms in perspective, by PyVista (VTK): spheres, rings of rods, and the triangles that fill them.

VTK renders off-screen, without a display.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.errors import PersistemError

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Colours of the elements, in the order of the study's species: different in lightness, and none a state's colour.
ELEMENT_COLOURS = ("#B8BEC6", "#3C4A5A", "#E8D9A8", "#8A7A5A", "#DDDDDD", "#111111")
#: Opening angle of the camera, degrees: the perspective of a cube held at arm's length.
ANGLE = 18.0
#: Facets of a sphere around and from pole to pole; finer would not show in print.
FACETS = 24


@dataclass
class Rods:
    """Edges (k, 2) between points (n, 3), Å, drawn as rods, and the triangles (m, 3) between them, filled."""

    points: NDArray[Any]
    edges: Sequence[Sequence[int]]
    faces: Sequence[Sequence[int]] = ()
    colour: str = "#009E73"
    radius: float = 0.18
    opacity: float = 1.0


def element_colours(elements: Sequence[str]) -> dict[str, str]:
    """A colour for each element, in the order given."""
    return {element: ELEMENT_COLOURS[i % len(ELEMENT_COLOURS)] for i, element in enumerate(elements)}


def picture(
    positions: NDArray[Any],
    elements: Sequence[str],
    radii: dict[str, float],
    box: Sequence[float],
    rods: Sequence[Rods] = (),
    pixels: int = 700,
    scale: float = 1.0,
    reach: float | None = None,
) -> NDArray[Any]:
    """Atoms in a box, in perspective along [001]: x to the right, y upwards, the beam's exit face in front.

    Parameters
    ----------
    positions
        (n, 3) Å, with the box's lower corner at the origin
    elements
        of the n atoms
    radii
        of each element, Å, in the order in which colours are given
    box
        sides, (3,) Å; its edges are drawn
    rods
        drawn between the atoms
    pixels
        side of the picture
    scale
        of the radii: smaller atoms hide less
    reach
        how far from its middle the box's front face is in view, Å; None: exactly the whole face

    Returns
    -------
    NDArray
        (pixels, pixels, 3) uint8, on white

    Raises
    ------
    PersistemError
        where the system has no OpenGL
    """
    _needs_opengl()
    positions = np.asarray(positions, float).reshape(-1, 3)
    colours = element_colours([*radii])
    with _quiet():
        import pyvista

        # rendered twice as fine and averaged: VTK's own smoothing leaves specks on the rims of spheres
        plotter = pyvista.Plotter(off_screen=True, window_size=(2 * pixels, 2 * pixels), lighting="three lights")
        try:
            plotter.set_background("white")
            for element, radius in radii.items():
                here = positions[[which == element for which in elements]]
                if len(here):
                    ball = pyvista.Sphere(radius=radius * scale, theta_resolution=FACETS, phi_resolution=FACETS)
                    balls = pyvista.PolyData(here).glyph(geom=ball, scale=False, orient=False)
                    plotter.add_mesh(balls, color=colours[element], smooth_shading=True, specular=0.3)
            frame = pyvista.Box((0, box[0], 0, box[1], 0, box[2])).extract_all_edges()
            plotter.add_mesh(frame, color="#777777", line_width=max(1.0, pixels / 250))
            for rod in rods:
                _add_rods(plotter, rod)
            _look_along_z(plotter, np.asarray(box, float), reach)
            fine = np.array(plotter.screenshot(None, return_img=True), float)
        finally:
            plotter.close()
    image: NDArray[Any] = fine.reshape(pixels, 2, pixels, 2, 3).mean(axis=(1, 3)).round().astype(np.uint8)
    return image


def _add_rods(plotter: Any, rods: Rods) -> None:
    import pyvista

    points = np.asarray(rods.points, float).reshape(-1, 3)
    if len(rods.edges):
        lines = np.column_stack([np.full(len(rods.edges), 2), np.asarray(rods.edges, int)])
        tubes = pyvista.PolyData(points, lines=lines.ravel()).tube(radius=rods.radius, n_sides=12, capping=True)
        plotter.add_mesh(tubes, color=rods.colour, smooth_shading=True, opacity=rods.opacity)
    if len(rods.faces):
        faces = np.column_stack([np.full(len(rods.faces), 3), np.asarray(rods.faces, int)])
        filled = pyvista.PolyData(points, faces=faces.ravel())
        plotter.add_mesh(filled, color=rods.colour, opacity=0.35 * rods.opacity, lighting=False)


def _look_along_z(plotter: Any, box: NDArray[Any], reach: float | None) -> None:
    """View from above the middle of the upper face."""
    half = 1.05 * (float(box[:2].max()) / 2 if reach is None else reach)
    height = box[2] + half / np.tan(np.radians(ANGLE / 2))
    middle = (box[0] / 2, box[1] / 2)
    plotter.camera.view_angle = ANGLE
    plotter.camera_position = [(*middle, height), (*middle, 0.0), (0.0, 1.0, 0.0)]
    plotter.reset_camera_clipping_range()


def _needs_opengl() -> None:
    """VTK loads it when it draws, and without it ends the process by a segmentation fault."""
    try:
        if sys.platform == "linux":
            ctypes.CDLL("libEGL.so.1")
    except OSError:
        raise PersistemError(
            "pictures of atoms need OpenGL, and this machine has no libEGL.so.1;"
            " on Debian and Ubuntu: apt install libegl1"
        ) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence VTK's message on standard error that it found no display; it renders without one."""
    from vtkmodules.vtkCommonCore import vtkLogger

    before = vtkLogger.GetCurrentVerbosityCutoff()
    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_OFF)
    try:
        yield
    finally:
        vtkLogger.SetStderrVerbosity(before)
