"""Settings of the microscope."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from persistem.study.fields import OURS, Real, Section, Whole, assumed, given

#: To 4°, where the shear that stands for a tilt is 0.25 % longer than the specimen's projection.
Tilt = Annotated[Real, Field(ge=-70, le=70)]
Stretch = Annotated[Real, Field(ge=-0.2, le=0.2)]


def named(defocus: float) -> float:
    """A defocus (Å) that has a name in paths; raises ValueError for others."""
    if abs(defocus) > 99999 or abs(defocus * 10 - round(defocus * 10)) > 1e-6:
        raise ValueError(f"{defocus:g} Å is not a multiple of 0.1 Å between -99999 and 99999 Å")
    return defocus


class Imaging(Section):
    """Multislice and the microscope."""

    later: ClassVar[tuple[str, ...]] = ("astigmatism", "astigmatism_angle", "coma", "coma_angle", "tilt", "strain")

    field: Real = given(50.0, "side of the square field of view", unit="Å", gt=0)
    thickness: Real = given(50.0, "thickness of the slab along the beam", unit="Å", gt=0)
    pixels: Whole = given(1024, "side of the micrograph", unit="px", ge=16, le=16384)
    slice_thickness: Real = given(1.0, "thickness of a slice of the potential", unit="Å", gt=0)
    margin: Real = assumed(
        6.25,
        "real atoms simulated around the field of view (whole pixels) and cropped after propagation",
        unit="Å",
        reason="a cube cut out is not periodic and its edges scatter into the image; 0 is the paper's way",
        ge=0,
    )
    parametrization: Literal["lobato", "kirkland"] = assumed(
        "lobato", "electron scattering factors", reason="abTEM's default; ELBIS' are not stated"
    )
    tilt: tuple[Tilt, Tilt] = given(
        (0.0, 0.0),
        "tilt of the specimen: per Å of depth before the exit face, atoms appear moved by it along x and y",
        unit="mrad",
        source=OURS,
    )
    strain: tuple[Stretch, Stretch] = given(
        (0.0, 0.0), "strain of the specimen along x and y, by which it is stretched before its slab is cut", source=OURS
    )
    voltage: Real = assumed(
        200.0, "accelerating voltage", unit="kV", reason="not stated; a Cs-corrected TEM", ge=10, le=3000
    )
    Cs: Real = given(-0.0005, "spherical aberration", unit="mm", ge=-10, le=10)
    astigmatism: Real = given(
        0.0, "two-fold astigmatism A1 = C12, as a change of focus of ±A1", unit="Å", source=OURS, ge=0, le=1e5
    )
    astigmatism_angle: Real = given(
        0.0,
        "direction from x to y of its largest phase, least underfocus",
        unit="deg",
        source=OURS,
        ge=-360,
        le=360,
    )
    coma: Real = given(0.0, "axial coma B2 = C21/3", unit="Å", source=OURS, ge=0, le=1e6)
    coma_angle: Real = given(
        0.0, "direction from x to y of its largest phase", unit="deg", source=OURS, ge=-360, le=360
    )
    Cc: Real = given(1.37, "chromatic aberration", unit="mm", ge=0, le=100)
    energy_spread: Real = assumed(0.7, "energy spread, FWHM", unit="eV", reason="Schottky emitter", ge=0, le=20)
    focal_spread: Literal["classical", "relativistic"] = assumed(
        "classical",
        "σ = Cc σ_E / E, or times (1 + E/mc²)/(1 + E/2mc²)",
        reason="not stated; 20.4 Å at the defaults, and 1.16 times that relativistically",
    )
    temporal_coherence: Literal["focal-sum", "envelope", "none"] = assumed(
        "focal-sum",
        "incoherent sum over the focal spread, or the damping envelope of the linear theory",
        reason="the sum is what the paper's transmission cross coefficient gives",
    )
    focal_nodes: Whole | None = assumed(
        None,
        "nodes of the focal sum, equally spaced over ±4σ; null: as many as the sampling needs (102 at the defaults)",
        reason="the sum is then within 1e-4 of the integral",
        ge=3,
        le=9999,
    )
    semi_angle: Real = assumed(
        0.1,
        "illumination semi-angle, standard deviation on each axis, as a spatial coherence envelope",
        unit="mrad",
        reason="not stated; parallel illumination",
        ge=0,
        le=10,
    )
    aperture: Real | None = assumed(
        None, "objective aperture, semi-angle", unit="mrad", reason="not stated; none", gt=0
    )
    defoci: tuple[Real, ...] = given(
        (-100.0, -50.0, -25.0, -13.0, 0.0, 13.0, 25.0, 50.0, 100.0), "defocus values", unit="Å", min_length=1
    )
    defocus_origin: Literal["exit", "centre"] = assumed(
        "centre",
        "plane of zero defocus: the slab's exit face or its centre",
        reason="'the TEM image contrast changes largely and inverses at defocus 0 Å': it does at the slab's centre",
    )
    defocus_sign: Literal["underfocus-positive", "overfocus-positive"] = assumed(
        "underfocus-positive", "sign of the defocus", reason="convention of multislice codes (abTEM: defocus = -C10)"
    )

    @field_validator("defoci")
    @classmethod
    def _distinct(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        ids: dict[int, float] = {}
        for defocus in value:
            named(defocus)
            tenths = round(defocus * 10)
            if tenths in ids:
                raise ValueError(f"{ids[tenths]:g} and {defocus:g} Å are one defocus: ids have a resolution of 0.1 Å")
            ids[tenths] = defocus
        return value
