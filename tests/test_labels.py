"""Labels from the files of other programs, as their own libraries write them: every pixel where it was drawn.

The truth has no symmetry, so an image that is transposed, mirrored or shifted by one pixel fails.
"""

from __future__ import annotations

import csv
import hashlib
import json
import random
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import roifile
import tifffile
from persistem.errors import PersistemError
from persistem.reading.labels import Labels, read_labels, write_labels
from persistem.reading.labels.legend import legend_path, read_legend
from persistem.reading.labels.outlines import inside
from PIL import Image as Pillow
from skimage.measure import grid_points_in_poly
from support.studies import ROOT

SHAPE = (20, 30)
STATES = {1: "crystal", 2: "amorphous", 3: "vacuum"}
COLOURS = {1: (255, 0, 0), 2: (0, 128, 255), 3: (1, 2, 3)}
HEX = {"#FF0000": "crystal", "#0080ff": "amorphous", "#010203": "vacuum"}
#: (rows, columns) of a box of each state: first and one after the last.
BOXES = {"crystal": ((2, 9), (4, 7)), "amorphous": ((2, 9), (7, 20)), "vacuum": ((15, 20), (1, 29))}
#: Less than half a pixel to either side of the border between two pixels changes nothing, if pixels are where they are.
SHIFTS = (-0.4, 0, 0.4)


@pytest.fixture
def truth():
    regions = np.zeros(SHAPE, np.uint8)
    for number, name in STATES.items():
        (top, bottom), (left, right) = BOXES[name]
        regions[top:bottom, left:right] = number
    return regions


def refused(path, shape=SHAPE, states=None, **options):
    with pytest.raises(PersistemError) as caught:
        read_labels(path, shape, states, **options)
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.isprintable() and len(sentence) < 500
    return sentence


def same(found, truth, states=STATES):
    """Whether labels are the truth, by the names of states."""
    assert found.regions.dtype == np.uint8 and found.regions.shape == truth.shape
    assert sorted(found.states.values()) == sorted(states.values())
    for number, name in states.items():
        ours = {value: key for key, value in found.states.items()}[name]
        assert np.array_equal(found.regions == ours, truth == number), name
    return True


def coloured(truth, opacity=None):
    pixels = np.zeros((*truth.shape, 3 if opacity is None else 4), np.uint8)
    pixels[..., 3:] = opacity or 0
    for number, colour in COLOURS.items():
        pixels[truth == number, :3] = colour
        pixels[truth == number, 3:] = 255
    return pixels


# images


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", ">u2", "i4", "u4", "i8", "u8", "f4", "f8"])
@pytest.mark.parametrize("suffix", ["tif", "npy"])
def test_numbers_of_any_type(tmp_path, truth, dtype, suffix):
    path = tmp_path / f"a.{suffix}"
    if suffix == "npy":
        np.save(path, np.asfortranarray(truth.astype(dtype)))
    else:
        tifffile.imwrite(path, truth.astype(dtype), byteorder=">" if ">" in dtype else "<")
    found = read_labels(path, SHAPE, STATES)
    assert np.array_equal(found.regions, truth) and found.states == STATES


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zlib"},
        {"compression": "lzw", "predictor": True},
        {"tile": (16, 16)},
        {"imagej": True},
        {"photometric": "miniswhite"},
        {"colormap": np.arange(768, dtype=np.uint16).reshape(3, 256), "photometric": "palette"},
    ],
)
def test_a_tiff_keeps_the_numbers_that_it_stores(tmp_path, truth, options):
    tifffile.imwrite(tmp_path / "a.tif", truth, **options)
    assert same(read_labels(tmp_path / "a.tif", SHAPE, STATES), truth)


@pytest.mark.parametrize("mode", ["L", "I;16", "P", "palette of 4 bits"])
def test_numbers_and_indices_in_png(tmp_path, truth, mode):
    picture = Pillow.fromarray(truth.astype(np.uint16) if mode == "I;16" else truth)
    if mode.lower().startswith("p"):
        picture = picture.copy()
        picture.putpalette([0, 0, 0, *COLOURS[1], *COLOURS[2], *COLOURS[3]])
    picture.save(tmp_path / "a.png", **({"bits": 4} if "bits" in mode else {}))
    assert same(read_labels(tmp_path / "a.png", SHAPE, STATES), truth)
    if mode.lower().startswith("p"):
        assert same(read_labels(tmp_path / "a.png", SHAPE, HEX), truth)
        picture.putpalette([255, 255, 255, *COLOURS[1], *COLOURS[2], *COLOURS[3]])
        for transparent in (0, bytes([0, 255])):
            picture.save(tmp_path / "a.png", transparency=transparent)
            assert same(read_labels(tmp_path / "a.png", SHAPE, HEX), truth)


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA", "LA"])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_masks_of_0_and_255(tmp_path, truth, mode, suffix):
    path = tmp_path / f"a.{suffix}"
    Pillow.fromarray(np.uint8(255 * (truth == 2))).convert(mode).save(path)
    if (mode, suffix) == ("LA", "tif"):
        assert "neither numbers nor RGB" in refused(path, SHAPE, {255: "particle"})
        return
    for legend in ({255: "particle"}, {"#ffffff": "particle"}):
        found = read_labels(path, SHAPE, legend)
        number = {name: key for key, name in found.states.items()}["particle"]
        assert np.array_equal(found.regions == number, truth == 2) and set(np.unique(found.regions)) == {0, number}
    # named, zero is a state too, with a number of its own
    found = read_labels(path, SHAPE, {0: "film", 255: "particle"})
    assert found.states == {1: "film", 255: "particle"} and (found.regions == np.where(truth == 2, 255, 1)).all()


@pytest.mark.parametrize("opacity", [None, 0, 255])
@pytest.mark.parametrize("suffix", ["png", "tif", "npy"])
def test_colours(tmp_path, truth, opacity, suffix):
    path, pixels = tmp_path / f"a.{suffix}", coloured(truth, opacity)
    if suffix == "png":
        Pillow.fromarray(pixels).save(path)
    elif suffix == "npy":
        np.save(path, pixels)
    else:
        extra = {} if opacity is None else {"extrasamples": ["unassalpha"]}
        tifffile.imwrite(path, pixels, photometric="rgb", planarconfig="contig", **extra)
    assert same(read_labels(path, SHAPE, HEX), truth)
    assert read_labels(path, SHAPE, HEX | {"#00ff00": "crystal"}).states == {1: "crystal", 2: "amorphous", 3: "vacuum"}
    said = refused(path, SHAPE, {"#ff0000": "crystal", "#0080ff": "amorphous"})
    assert "#010203 (140 px)" in said and "says #ff0000: crystal" in said
    assert "#0080ff" in refused(path) and "give states" in refused(path)


def test_a_colour_may_be_black_if_it_is_named(tmp_path, truth):
    Pillow.fromarray(coloured(truth)).save(tmp_path / "a.png")
    found = read_labels(tmp_path / "a.png", SHAPE, {"#000000": "hole", **HEX})
    assert found.states[1] == "hole" and np.array_equal(found.regions == 1, truth == 0)


def test_smoothed_edges_are_refused(tmp_path, truth):
    large = Pillow.fromarray(coloured(truth)).resize((33, 22), Pillow.Resampling.BILINEAR)
    large.save(tmp_path / "a.png")
    assert "others" in refused(tmp_path / "a.png", (22, 33), HEX)


# outlines


def box(name, shift=0.0):
    """Corners (row, column) of a state's box; its edges lie between pixels where (0, 0) is a pixel's corner."""
    (top, bottom), (left, right) = BOXES[name]
    return np.array([(top, left), (top, right), (bottom, right), (bottom, left)]) + shift


#: The corners of a pixel.
UNIT = np.array([(0, 0), (0, 1), (1, 1), (1, 0)])


def roi_of(name, called=None, **options):
    roi = roifile.ImagejRoi.frompoints(box(name)[:, ::-1], name=name if called is None else called)
    for key, value in options.items():
        setattr(roi, key, value)
    return roi


def roi_set(path, rois):
    path.unlink(missing_ok=True)
    roifile.roiwrite(path, rois)
    return path


@pytest.mark.parametrize("shift", SHIFTS)
def test_imagej_polygons_between_pixels(tmp_path, truth, shift):
    roifile.ImagejRoi.frompoints(box("amorphous", shift)[:, ::-1].astype(np.float32)).tofile(tmp_path / "film.roi")
    assert np.array_equal(read_labels(tmp_path / "film.roi", SHAPE).regions, truth == 2)


def test_imagej_rois(tmp_path, truth):
    path = roi_set(tmp_path / "RoiSet.zip", [roi_of(name) for name in BOXES])
    assert same(read_labels(path, SHAPE), truth)
    assert read_labels(path, SHAPE, STATES).states == STATES
    renamed = {"crystal": "GaN", "amorphous": "film", "vacuum": "hole"}
    assert read_labels(path, SHAPE, renamed).states == {1: "GaN", 2: "film", 3: "hole"}
    roi_of("amorphous").tofile(tmp_path / "one.roi")
    assert np.array_equal(read_labels(tmp_path / "one.roi", SHAPE).regions, truth == 2)
    roi_of("amorphous", called="").tofile(tmp_path / "film.roi")
    assert read_labels(tmp_path / "film.roi", SHAPE).states == {1: "film"}


def test_imagej_rectangles_ovals_and_holes(tmp_path, truth):
    (top, bottom), (left, right) = BOXES["amorphous"]
    sides = {"top": top, "bottom": bottom, "left": left, "right": right}
    for subpixel in (False, True):
        rectangle = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, **sides, name="film")
        if subpixel:
            rectangle.options |= roifile.ROI_OPTIONS.SUB_PIXEL_RESOLUTION
            rectangle.version = 227
            rectangle.xd, rectangle.yd, rectangle.widthd, rectangle.heightd = left - 0.4, top + 0.4, right - left, 7
        rectangle.tofile(tmp_path / "a.roi")
        assert np.array_equal(read_labels(tmp_path / "a.roi", SHAPE).regions, truth == 2), subpixel
    roifile.ImagejRoi(roitype=roifile.ROI_TYPE.OVAL, **sides, name="film").tofile(tmp_path / "a.roi")
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    oval = ((rows - 5.5) / 3.5) ** 2 + ((columns - 13.5) / 6.5) ** 2 < 1
    assert np.array_equal(read_labels(tmp_path / "a.roi", SHAPE).regions, oval)
    hole = [0, 2, 2, 1, 12, 2, 1, 12, 10, 1, 2, 10, 4, 0, 4, 4, 1, 4, 6, 1, 8, 6, 1, 8, 4, 4]
    shape = roifile.ImagejRoi(
        roitype=roifile.ROI_TYPE.RECT, top=2, left=2, bottom=10, right=12, name="ring", version=227
    )
    shape.multi_coordinates, shape.shape_roi_size = np.array(hole, np.float32), len(hole)
    shape.tofile(tmp_path / "a.roi")
    ring = np.zeros(SHAPE, np.uint8)
    ring[2:10, 2:12], ring[4:6, 4:8] = 1, 0
    assert np.array_equal(read_labels(tmp_path / "a.roi", SHAPE).regions, ring)


def test_imagej_repeats_a_name_with_a_number_and_groups(tmp_path, truth):
    rois = [roi_of("crystal"), roi_of("amorphous", "crystal-1"), roi_of("vacuum", "film-2")]
    path = roi_set(tmp_path / "RoiSet.zip", rois)
    found = read_labels(path, SHAPE, {1: "crystal", 2: "film"})
    assert np.array_equal(found.regions, np.choose(truth, [0, 1, 1, 2]))
    assert read_labels(path, SHAPE).states == {1: "crystal", 2: "film-2"}
    for k, roi in enumerate(rois, 1):
        roi.name, roi.group, roi.version = f"0001-000{k}", k, 228
    assert same(read_labels(roi_set(path, rois), SHAPE, STATES), truth)


@pytest.mark.parametrize("kind", ["LINE", "POLYLINE", "POINT", "FREELINE"])
def test_what_has_no_area_is_refused(tmp_path, kind):
    roi_of("crystal", roitype=roifile.ROI_TYPE[kind]).tofile(tmp_path / "a.roi")
    assert "no area" in refused(tmp_path / "a.roi")


def test_rois_of_several_frames_are_refused(tmp_path):
    rois = [roi_of("crystal", position=1), roi_of("vacuum", position=2)]
    assert "several frames" in refused(roi_set(tmp_path / "RoiSet.zip", rois))


def feature(name, coordinates, kind="Polygon"):
    """As QuPath 0.5 exports an annotation; rings are closed, and so are of (x, y)."""
    return {
        "type": "Feature",
        "id": "3f1f6a2c-64ab-4f2e-8f4a-0d1d1c6f2f11",
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": {"objectType": "annotation", "classification": {"name": name, "color": [200, 0, 0]}},
    }


def ring(corners):
    points = corners[:, ::-1].tolist()
    return [*points, points[0]]


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("shift", SHIFTS)
def test_qupath(tmp_path, truth, shift, bare):
    path = tmp_path / "a.geojson"
    features = [feature(name, [ring(box(name, shift))]) for name in BOXES]
    path.write_text(json.dumps(features if bare else {"type": "FeatureCollection", "features": features}))
    assert same(read_labels(path, SHAPE), truth)
    assert read_labels(path, SHAPE, STATES).states == STATES
    said = refused(path, SHAPE, {1: "crystal", 2: "amorphous"})
    assert "annotation 3 ('vacuum') is not in the legend, which says 1: crystal and 2: amorphous" in said


def test_qupath_holes_and_several_polygons(tmp_path, truth):
    hole = box("crystal") + np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]])
    polygons = [[ring(box("crystal")), ring(hole)], [ring(box("vacuum"))]]
    (tmp_path / "a.geojson").write_text(json.dumps(feature("film", polygons, "MultiPolygon")))
    expected = (truth == 1) | (truth == 3)
    expected[3:8, 5:6] = False
    assert np.array_equal(read_labels(tmp_path / "a.geojson", SHAPE).regions, expected)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f["geometry"].update(type="LineString"), "a LineString, which has no area"),
        (lambda f: f["properties"].pop("classification"), "annotation 1 has no class"),
        (lambda f: f["geometry"].update(coordinates=[[[1], [2]]]), "coordinates that are not those of a Polygon"),
        (lambda f: f["geometry"].update(coordinates=[[[1, 2], [10**400, 3]]]), "coordinates that are not"),
        (lambda f: f["geometry"].update(coordinates=7), "coordinates that are not"),
        (lambda f: f["geometry"].update(coordinates=[[[1, float("nan")], [4, 4], [5, 1]]]), "not a finite number"),
        (lambda f: f["geometry"].update(coordinates=[[[3.6, 3.6], [3.9, 3.6], [3.9, 3.9]]]), "not one pixel's centre"),
        (lambda f: f["geometry"].update(coordinates=[]), "no outline"),
        (lambda f: f.update(geometry=None), "not a feature"),
    ],
)
def test_geojson_that_is_no_region(tmp_path, change, said):
    wrong = feature("film", [ring(box("crystal"))])
    change(wrong)
    (tmp_path / "a.geojson").write_text(json.dumps([wrong]))
    assert said in refused(tmp_path / "a.geojson")


def napari_csv(path, shapes, state=None):
    """As napari writes a layer of shapes: kind and corners (row, column), centres of pixels at whole numbers."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["index", "shape-type", "vertex-index", "axis-0", "axis-1", *(["state"] if state else [])])
        for k, (kind, corners) in enumerate(shapes):
            for n, (row, column) in enumerate(corners):
                writer.writerow([float(k), kind, float(n), row, column, *([state[k]] if state else [])])
    return path


@pytest.mark.parametrize("shift", SHIFTS)
def test_napari(tmp_path, truth, shift):
    shapes = [("rectangle" if name == "vacuum" else "polygon", box(name, shift - 0.5)) for name in BOXES]
    path = napari_csv(tmp_path / "a.csv", shapes)
    assert same(read_labels(path, SHAPE, {0: "crystal", 1: "amorphous", 2: "vacuum"}), truth)
    assert "give states" in refused(path) and "shape 0" in refused(path)
    assert same(read_labels(napari_csv(path, shapes, list(BOXES)), SHAPE), truth)
    with_ellipse = napari_csv(path, [("ellipse", box("amorphous", -0.5))])
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    oval = ((rows - 5) / 3.5) ** 2 + ((columns - 13) / 6.5) ** 2 < 1
    assert np.array_equal(read_labels(with_ellipse, SHAPE, {0: "film"}).regions == 1, oval)
    assert "no area" in refused(napari_csv(path, [("path", box("crystal"))]), SHAPE, {0: "film"})


# ilastik


def axistags(axes):
    return json.dumps({"axes": [{"key": axis, "typeFlags": 2, "resolution": 0, "description": ""} for axis in axes]})


def project(path, images, axes="yxc"):
    """An ilastik project of Pixel Classification: labels of each image in blocks, shrunk to what is painted."""
    with h5py.File(path, "w") as file:
        file["ilastikVersion"], file["workflowName"] = b"1.4.0", b"Pixel Classification"
        file["PixelClassification/LabelNames"] = [name.encode() for name in STATES.values()]
        file["PixelClassification/LabelColors"] = np.zeros((3, 3), int)
        for k, (name, truth) in enumerate(images.items()):
            whole = truth.reshape(
                [dict(zip("yx", truth.shape, strict=True)).get(axis, 1) for axis in sorted(axes, key="yxcz".index)]
            )
            whole = whole.transpose([sorted(axes, key="yxcz".index).index(axis) for axis in axes])
            raw = file.create_group(f"Input Data/infos/lane{k:04d}/Raw Data")
            raw["filePath"], raw["nickname"] = f"C:\\data\\{name}".encode(), Path(name).stem.encode()
            raw["shape"], raw["axistags"] = whole.shape, axistags(axes).encode()
            group = file.create_group(f"PixelClassification/LabelSets/labels{k:03d}")
            columns = axes.index("x")
            for block, half in enumerate((slice(0, 16), slice(16, None))):
                part = tuple(half if axis == columns else slice(None) for axis in range(whole.ndim))
                painted = np.nonzero(whole[part])
                if not len(painted[0]):
                    continue
                bounds = [(int(axis.min()), int(axis.max()) + 1) for axis in painted]
                data = whole[part][tuple(slice(*pair) for pair in bounds)]
                bounds[columns] = tuple(half.start + place for place in bounds[columns])
                stored = group.create_dataset(f"block{block:04d}", data=data)
                stored.attrs["blockSlice"] = "[" + ",".join(f"{start}:{end}" for start, end in bounds) + "]"
                stored.attrs["axistags"] = axistags(axes)
    return path


@pytest.mark.parametrize("axes", ["yxc", "xyc", "yx", "zyxc"])
def test_an_ilastik_project(tmp_path, truth, axes):
    path = project(tmp_path / "a.ilp", {"a.png": truth}, axes=axes)
    found = read_labels(path, SHAPE)
    assert found.states == STATES and np.array_equal(found.regions, truth)
    renamed = {"crystal": "GaN", "amorphous": "film", "vacuum": "hole"}
    assert same(read_labels(path, SHAPE, renamed), truth, {1: "GaN", 2: "film", 3: "hole"})
    assert "vacuum (140 px)" in refused(path, SHAPE, {1: "GaN", 2: "film"})
    assert "transposed" in refused(path, SHAPE[::-1])


def test_an_ilastik_project_of_several_images(tmp_path, truth):
    other = np.rot90(truth, 2)
    path = project(tmp_path / "a.ilp", {"first.png": other, "second.h5/exported_data": truth})
    for name in ("second.h5", "second.dm4"):
        assert np.array_equal(read_labels(path, SHAPE, image=tmp_path / name).regions, truth)
    assert np.array_equal(read_labels(path, SHAPE, image=tmp_path / "first.png").regions, other)
    assert "of which none is called third.png" in refused(path, image=tmp_path / "third.png")
    assert "a project of 2 images (first.png and second.h5)" in refused(path)


@pytest.mark.parametrize("axes", ["yxc", "xyc", "yx", None])
def test_labels_exported_from_ilastik(tmp_path, truth, axes):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = truth.T if axes and axes.startswith("x") else truth
        stored = file.create_dataset("exported_data", data=data[..., None] if axes and "c" in axes else data)
        if axes:
            stored.attrs["axistags"] = axistags(axes)
    assert same(read_labels(tmp_path / "a.h5", SHAPE, STATES), truth)


@pytest.mark.parametrize("bounds", ["[0:40,0:40,0:1]", "[5:2,0:3,0:1]", "nothing", "[0:2,0:3,0:1,0:1]"])
def test_blocks_that_do_not_fit(tmp_path, truth, bounds):
    path = project(tmp_path / "a.ilp", {"a.png": truth})
    with h5py.File(path, "r+") as file:
        file["PixelClassification/LabelSets/labels000/block0000"].attrs["blockSlice"] = bounds
    assert "not of the size" in refused(path)


# what is wrong with labels


def labelled(folder, truth, name="a.tif"):
    tifffile.imwrite(folder / name, truth)
    return folder / name


def test_another_size(tmp_path, truth):
    path = labelled(tmp_path, truth)
    said = refused(path, (20, 31), STATES)
    assert "30 columns and 20 rows" in said and "31 columns and 20 rows" in said and "transposed" not in said
    assert "it was transposed, or turned by 90°" in refused(path, SHAPE[::-1], STATES)
    np.save(tmp_path / "a.npy", truth)
    Pillow.fromarray(truth).save(tmp_path / "a.png")
    for name in ("a.npy", "a.png"):
        assert "transposed" in refused(tmp_path / name, SHAPE[::-1], STATES)


def test_outlines_of_another_image(tmp_path):
    (tmp_path / "a.geojson").write_text(json.dumps([feature("film", [ring(box("vacuum"))])]))
    said = refused(tmp_path / "a.geojson", (30, 20))
    assert "column 0 to 28" in said and "rows and columns are swapped" in said
    (tmp_path / "a.geojson").write_text(json.dumps([feature("film", [ring(4 * box("vacuum"))])]))
    assert "drawn on another image" in refused(tmp_path / "a.geojson")
    # a hand that slips over the border is no error
    beyond = np.array([(15, -2), (15, 32), (22, 32), (22, -2)])
    (tmp_path / "a.geojson").write_text(json.dumps([feature("film", [ring(beyond)])]))
    assert (read_labels(tmp_path / "a.geojson", SHAPE).regions == (np.arange(20) >= 15)[:, None]).all()


def test_overlap_is_refused_with_its_place(tmp_path, truth):
    features = [feature("crystal", [ring(box("crystal"))]), feature("amorphous", [ring(box("amorphous") - [0, 1])])]
    (tmp_path / "a.geojson").write_text(json.dumps(features))
    said = refused(tmp_path / "a.geojson")
    assert "overlaps a region of crystal in 7 px, the first at column 6, row 2" in said
    features[1]["properties"]["classification"]["name"] = "crystal"
    (tmp_path / "a.geojson").write_text(json.dumps(features))
    assert read_labels(tmp_path / "a.geojson", SHAPE).regions.sum() == 7 * 3 + 7 * 13 - 7


def test_unknown_values(tmp_path, truth):
    path = labelled(tmp_path, truth)
    said = refused(path, SHAPE, {1: "crystal", 2: "amorphous"})
    assert "holds the value 3 (140 px), but the legend says 1: crystal and 2: amorphous" in said
    assert "by the values 1, 2 and 3; give states" in refused(path)
    assert "-1 (" in refused(labelled(tmp_path, truth.astype("i2") - (truth == 0)), SHAPE, STATES)
    # a state that does not occur is fine
    assert read_labels(labelled(tmp_path, truth), SHAPE, STATES | {9: "hole"}).states[9] == "hole"


def test_pictures_are_no_labels(tmp_path):
    noise = np.random.default_rng(0).normal(size=SHAPE)
    assert "fractions" in refused(labelled(tmp_path, noise), SHAPE, STATES)
    many = np.arange(600 * 10, dtype=np.uint16).reshape(60, 100)
    assert "it is a picture" in refused(labelled(tmp_path, many), many.shape, STATES)
    Pillow.fromarray(np.zeros(SHAPE, np.uint8)).save(tmp_path / "a.jpg")
    assert "JPEG" in refused(tmp_path / "a.jpg", SHAPE, STATES)
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, *SHAPE), np.uint8), photometric="minisblack")
    assert "a stack of 3 images" in refused(tmp_path / "a.tif", SHAPE, STATES)


def test_nothing_labelled(tmp_path, truth):
    assert "nothing in it is labelled" in refused(labelled(tmp_path, 0 * truth), SHAPE, STATES)


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ({}, "at least one state"),
        ({1: "crystal", 2: "crystal"}, "gives 1 and 2 the same name, crystal"),
        ({1: "crystal", "1": "film"}, "names 1 twice"),
        ({True: "crystal"}, "has the key True"),
        ({1: ""}, "must have the name of a state"),
        ({1: 5}, "must have the name of a state"),
        ({str(k): f"s{k}" for k in range(1000, 1300)}, "more than 255 states"),
    ],
)
def test_legends_that_are_none(tmp_path, truth, states, said):
    assert said in refused(labelled(tmp_path, truth), SHAPE, states)


def test_names_may_be_put_together_but_numbers_not(tmp_path, truth):
    (tmp_path / "a.geojson").write_text(json.dumps([feature(name, [ring(box(name))]) for name in BOXES]))
    found = read_labels(tmp_path / "a.geojson", SHAPE, {"crystal": "solid", "amorphous": "solid", "vacuum": "hole"})
    assert found.states == {1: "solid", 2: "hole"} and np.array_equal(found.regions, np.choose(truth, [0, 1, 1, 2]))


# the legend beside labels


def test_written_labels_are_read_again(tmp_path, truth):
    image = labelled(tmp_path, truth, "image.tif")
    path = tmp_path / "labels" / "a.labels.tif"
    labels = Labels(truth, STATES | {7: "Loch ☉"})
    write_labels(path, labels, image, colours={1: "#ff0000"}, pixel_size=0.58)
    found = read_labels(path, SHAPE, image=image)
    assert np.array_equal(found.regions, truth) and found.states == labels.states
    about = read_legend(tmp_path / "labels" / "a.labels.json")
    assert about["image"] == {"path": "../image.tif", "sha256": hashlib.sha256(image.read_bytes()).hexdigest()}
    assert about["colours"] == {"1": "#ff0000"} and about["pixel"] == {"size_A": 0.58}
    first = path.read_bytes(), legend_path(path).read_bytes()
    write_labels(path, labels, image, colours={1: "#ff0000"}, pixel_size=0.58)
    assert first == (path.read_bytes(), legend_path(path).read_bytes())
    assert sorted(file.name for file in path.parent.iterdir()) == ["a.labels.json", "a.labels.tif"]
    with pytest.raises(PersistemError, match="state 3 has no name"):
        write_labels(path, Labels(truth, {1: "crystal", 2: "film"}), image)


def test_a_failure_leaves_both_files_as_they_were(tmp_path, truth, monkeypatch):
    image, path = labelled(tmp_path, truth, "image.tif"), tmp_path / "a.labels.tif"
    write_labels(path, Labels(truth, STATES), image)
    before = path.read_bytes(), legend_path(path).read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tifffile, "imwrite", full)
    with pytest.raises(OSError, match="No space left"):
        write_labels(path, Labels(truth[::-1], {1: "a", 2: "b", 3: "c"}), image)
    assert before == (path.read_bytes(), legend_path(path).read_bytes())


def test_an_image_that_has_changed(tmp_path, truth):
    image, path = labelled(tmp_path, truth, "image.tif"), tmp_path / "a.labels.tif"
    write_labels(path, Labels(truth, STATES), image)
    labelled(tmp_path, truth[::-1], "image.tif")
    said = refused(path, image=image)
    assert "not the image that was labelled" in said and "a.labels.json" in said and str(image) in said
    assert same(read_labels(path, SHAPE), truth)  # nobody says which image it is
    assert "cannot be read" in refused(path, image=tmp_path / "gone.tif")


def test_two_legends_agree_or_stop(tmp_path, truth):
    image, path = labelled(tmp_path, truth, "image.tif"), tmp_path / "a.labels.tif"
    write_labels(path, Labels(truth, STATES), image)
    assert same(read_labels(path, SHAPE, {"1": "crystal", 2: "amorphous", 3: " vacuum "}), truth)
    said = refused(path, SHAPE, STATES | {2: "liquid"})
    assert "states says 2: liquid, and a.labels.json 2: amorphous" in said
    assert "a.labels.json 3: vacuum" in refused(path, SHAPE, {1: "crystal", 2: "amorphous"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ('{"states": ["crystal"]}', "at least one state"),
        ('{"states": {"1": "a", "2": "a", "3": "b"}}', "same name"),
        ('{"states": {"1": "a", "2": "b", "3": "c"}, "image": {"sha256": 7}}', "a path and a sha256"),
        ("[" * 100_000, "not JSON"),
        ('{"states": "' + "x" * 2**20 + '"}', "more than the 1 MiB"),
    ],
)
def test_damaged_legends(tmp_path, truth, text, said):
    path = labelled(tmp_path, truth, "a.labels.tif")
    (tmp_path / "a.labels.json").write_text(text)
    assert said in refused(path, image=path)


def test_json_of_somebody_else_is_no_legend(tmp_path, truth):
    path = labelled(tmp_path, truth)
    (tmp_path / "a.json").write_text('{"exposure": 0.5}')
    assert same(read_labels(path, SHAPE, STATES), truth)
    assert "give states" in refused(path)


# which pixels an outline holds


def test_regions_that_share_a_border_neither_overlap_nor_leave_a_gap():
    rng = np.random.default_rng(1)
    for k in range(50):
        corners = np.array([(-0.5, -0.5), (-0.5, 15.5), (11.5, 15.5), (11.5, -0.5)])
        middle = rng.integers(0, 11, 2) / 2 if k % 2 else rng.uniform(0, 11, 2)
        count = np.zeros((12, 16), int)
        for n in range(4):
            triangle = np.array([corners[n], corners[(n + 1) % 4], middle])
            top, left, mask = inside([triangle if k % 3 else triangle[::-1]], (12, 16))
            count[top : top + mask.shape[0], left : left + mask.shape[1]] += mask
        assert (count == 1).all(), middle


def test_outlines_agree_with_scikit_image():
    rng = np.random.default_rng(2)
    for _ in range(100):
        polygon = rng.uniform(-10, 40, (rng.integers(3, 12), 2))
        found = np.zeros((25, 33), bool)
        top, left, mask = inside([polygon], found.shape)
        found[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
        assert np.array_equal(found, grid_points_in_poly(found.shape, polygon))


def test_any_regions_go_through_every_format(tmp_path):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        shape = tuple(int(n) for n in rng.integers(5, 20, 2))
        truth = rng.integers(0, 4, shape).astype(np.uint8)
        truth[0, :3] = 1, 2, 3
        write_labels(tmp_path / "a.tif", Labels(truth, STATES), tmp_path / "a.tif" if seed else ROOT / "Makefile")
        np.save(tmp_path / "b.npy", truth)
        Pillow.fromarray(truth).save(tmp_path / "b.png")
        # each pixel by the outline of its own
        pixels = [(STATES[int(truth[place])], np.array(place) + UNIT) for place in zip(*np.nonzero(truth), strict=True)]
        features = [feature(name, [ring(corners)]) for name, corners in pixels]
        (tmp_path / "b.geojson").write_text(json.dumps(features))
        napari_csv(
            tmp_path / "b.csv", [("polygon", corners - 0.5) for _, corners in pixels], [name for name, _ in pixels]
        )
        project(tmp_path / "b.ilp", {"b.png": truth})
        for name in ("a.tif", "b.npy", "b.png", "b.geojson", "b.csv", "b.ilp"):
            found = read_labels(tmp_path / name, shape, STATES)
            assert np.array_equal(found.regions, truth) and found.states == STATES, (seed, name)


# hostile and damaged files


def test_not_there_or_not_labels(tmp_path):
    assert "no such file" in refused(tmp_path / "a.tif")
    assert "not a file" in refused(tmp_path)
    (tmp_path / "a.tif").write_bytes(b"")
    assert "an empty file" in refused(tmp_path / "a.tif")
    (tmp_path / "a.tif").write_bytes(b"hello")
    assert "no labels in a format" in refused(tmp_path / "a.tif")


@pytest.mark.slow
def test_what_is_packed_far_smaller_than_its_pixels_is_read(tmp_path):
    """Labels are: a few strokes on a large image; other images are refused as bombs then."""
    shape, few = (6000, 4000), np.zeros((6000, 4000), np.uint8)
    few[10:20, 10:20] = 1
    write_labels(tmp_path / "a.tif", Labels(few, {1: "film"}), ROOT / "Makefile")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("exported_data", data=few, chunks=(1000, 1000), compression="gzip")
    for name in ("a.tif", "a.h5"):
        assert (tmp_path / name).stat().st_size < few.size / 64
        assert (read_labels(tmp_path / name, shape, {1: "film"}).regions == few).all()


def test_declared_sizes_are_not_believed(tmp_path):
    with open(tmp_path / "a.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<u8", "fortran_order": False, "shape": (20, 30)})
    assert "truncated" in refused(tmp_path / "a.npy", SHAPE, STATES)
    np.save(tmp_path / "a.npy", np.array([[{}] * 30] * 20), allow_pickle=True)
    assert "an array of object" in refused(tmp_path / "a.npy", SHAPE, STATES)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.roi", bytes(2**25))
    assert "unpack to more than" in refused(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.txt", "nothing")
    assert "without an ImageJ ROI" in refused(tmp_path / "a.zip")
    many = [roi_of("vacuum", f"vacuum-{k}") for k in range(500)]
    assert "one over another" in refused(roi_set(tmp_path / "a.zip", many), SHAPE, {"vacuum": "vacuum"})
    zigzag = np.array([(k % 2 * 20_000.0, k / 1e3) for k in range(1000)])
    (tmp_path / "a.geojson").write_text(json.dumps([feature("film", [ring(zigzag)])]))
    assert "crosses rows" in refused(tmp_path / "a.geojson", (20_000, 20_000))


def test_hdf5_that_reaches_into_other_files(tmp_path, truth):
    project(tmp_path / "secret.ilp", {"a.png": truth})
    with h5py.File(tmp_path / "a.ilp", "w") as file:
        file["PixelClassification"] = h5py.ExternalLink("secret.ilp", "PixelClassification")
    assert "a link to another file" in refused(tmp_path / "a.ilp")


@pytest.mark.slow
def test_damaged_files_are_read_or_refused(tmp_path, truth):
    """Every format cut short and with bytes changed: labels of the right shape, or one sentence."""
    roi_set(tmp_path / "a.zip", [roi_of(name) for name in BOXES])
    roi_of("crystal").tofile(tmp_path / "a.roi")
    labelled(tmp_path, truth)
    tifffile.imwrite(tmp_path / "b.tif", truth, compression="zlib")
    np.save(tmp_path / "a.npy", truth)
    Pillow.fromarray(coloured(truth)).save(tmp_path / "a.png")
    napari_csv(tmp_path / "a.csv", [("polygon", box(name)) for name in BOXES], list(BOXES))
    (tmp_path / "a.geojson").write_text(json.dumps([feature(name, [ring(box(name))]) for name in BOXES]))
    project(tmp_path / "a.ilp", {"a.png": truth})
    legend, dice = STATES | HEX, random.Random(3)
    for whole in sorted(tmp_path.glob("?.*")):
        content, tries = whole.read_bytes(), 15 if whole.suffix == ".ilp" else 60
        read_labels(whole, SHAPE, legend)
        for k in range(tries):
            damaged = bytearray(content[: dice.randrange(len(content))] if k % 3 == 0 else content)
            for _ in range(k % 3 * dice.randint(1, 5) if damaged else 0):
                damaged[dice.randrange(len(damaged))] = dice.randrange(256)
            path = tmp_path / f"damaged{whole.suffix}"
            path.write_bytes(damaged)
            try:
                assert read_labels(path, SHAPE, legend).regions.shape == SHAPE
            except PersistemError as error:
                assert str(error).startswith(str(path)) and "\n" not in str(error)


# real masks, where there are any

REAL = ROOT.parent / "shared" / "data" / "labelled" / "nanoparticles"


@pytest.mark.skipif(not REAL.is_dir(), reason="no ../shared/data/labelled/nanoparticles")
def test_real_masks():
    masks = [REAL / "neighbour_of_19_label.png", *sorted((REAL / "train" / "labels").glob("*.png"))]
    assert len(masks) == 21
    for path in masks:
        found = read_labels(path, (512, 512), {0: "film", 255: "particle"})
        dark = np.asarray(Pillow.open(path).convert("L"))
        assert np.array_equal(found.regions == 255, dark == 255) and np.array_equal(found.regions == 1, dark == 0)
        assert 0.02 < (found.regions == 255).mean() < 0.6
