"""What counting electrons does to a persistence diagram

One made-up grain, as a detector records it at three doses. Noise makes many pairs near the diagonal and moves those of
the grain; this is why a model has to be trained at the dose of the micrograph.
"""

import matplotlib.pyplot as plt
import numpy as np
from grains import PIXEL, grain
from persistem.imaging.detector import detected
from persistem.study import Detector, Recipe
from persistem.topology.diagrams import diagram_table

clean = 1 + 0.1 * grain(5, (96, 96), np.random.default_rng(1))
seen = {"without noise": clean} | {
    f"{dose:g} e/Å²": detected(clean, PIXEL, Detector(dose=dose)) for dose in (1600.0, 400.0)
}

figure, axes = plt.subplots(2, 3, figsize=(6.7, 4.6), layout="constrained")
for (name, image), (above, below) in zip(seen.items(), axes.T, strict=True):
    grey = np.clip(128 + 255 * (image - 1), 0, 255).astype(np.uint8)  # the same grey levels for all
    pairs = diagram_table(grey[None], Recipe()).to_pandas()
    print(f"{name}: {(pairs.degree == 0).sum()} islands, {(pairs.degree == 1).sum()} rings")
    above.imshow(grey, cmap="gray", vmin=0, vmax=255)
    above.set_title(name)
    above.set_axis_off()
    for degree, label in ((0, "islands"), (1, "rings")):
        of = pairs[pairs.degree == degree]
        below.plot(of.birth, of.death, ".", markersize=3, label=label)
    below.plot([0, 255], [0, 255], color="0.7", linewidth=0.8)
    below.set(xlabel="Birth (grey level)", ylabel="Death (grey level)", aspect="equal")
    below.label_outer()
axes[1, 0].legend(markerscale=3)
