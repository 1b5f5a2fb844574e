"""Explore a micrograph without a model and without labels

Two grains that are equally bright and equally strong. `explore` groups windows that look alike; how many groups there
are it decides by itself. Clusters are not states: it is you who says what they are.
"""

import matplotlib.pyplot as plt
from grains import PIXEL, two_phases
from persistem import api

pixels, _ = two_phases(seed=1, shape=(256, 256))
found = api.explore(pixels, pixel_size=PIXEL)

(clusters,) = found.maps
print(f"{len(clusters.states)} clusters")
for name, share in clusters.shares.items():
    print(f"{name}: {share:.2f} of the windows")

api.plot(clusters, pixels)

rows = len(found.patches)
figure, axes = plt.subplots(rows, 6, figsize=(6.7, 0.3 + 1.1 * rows), squeeze=False, layout="constrained")
figure.suptitle("Typical windows, a row for each cluster")
for row, patches in zip(axes, found.patches, strict=True):
    for panel in row:
        panel.set_axis_off()
    for panel, patch in zip(row, patches, strict=False):
        panel.imshow(patch, cmap="gray")
