"""The persistence diagram of a crop made by hand

A crop with five bright spots, four of which stand in a ring. The grey level falls from white to black. A spot is born
at its own grey level and dies where it joins a brighter one: an island; the brightest never dies and is left out. The
ring is born when its last gap closes and dies when its dark middle fills.
"""

import matplotlib.pyplot as plt
import numpy as np
from persistem.study import Recipe
from persistem.topology.diagrams import diagram_table

rows, columns = np.indices((64, 64))
crop = np.full((64, 64), 30.0)
spots = [(16, 16, 230), (16, 36, 210), (36, 16, 190), (36, 36, 170), (54, 54, 150)]  # row, column, grey level
for row, column, level in spots:
    crop = np.maximum(crop, level * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * 7.0**2)))
crop = np.rint(crop).astype(np.uint8)

pairs = diagram_table(crop[None], Recipe()).to_pandas()
print(pairs[["degree", "birth", "death"]].to_string(index=False))

figure, (left, right) = plt.subplots(1, 2, figsize=(6.7, 3.2), layout="constrained")
left.imshow(crop, cmap="gray", vmin=0, vmax=255)
left.set_title("Crop")
left.set_axis_off()
for degree, name, marker in ((0, "islands", "o"), (1, "rings", "^")):
    of = pairs[pairs.degree == degree]
    right.plot(of.birth, of.death, marker, label=name)
right.plot([0, 255], [0, 255], color="0.7", linewidth=0.8)
right.set(xlabel="Birth (grey level)", ylabel="Death (grey level)", title="Diagram", aspect="equal")
right.legend()
