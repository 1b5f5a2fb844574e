"""Train on labels, and map another micrograph

Three made-up micrographs of two grains, labelled all over. The model learns from two of them and maps the third, whose
labels it has not seen. Hatched is where it abstains.
"""

import numpy as np
from grains import PIXEL, two_phases
from persistem import api

(first, labels), (second, others), (unseen, truth) = (two_phases(seed) for seed in (1, 2, 3))
model = api.train([first, second], [labels, others], states={1: "fine", 2: "coarse"}, pixel_size=PIXEL)

found = api.map(unseen, model, pixel_size=PIXEL)
api.plot(found, unseen)

# the truth at the middle of each window
rows, columns = (
    np.rint((start + np.arange(n) * found.step) / PIXEL).astype(int)
    for start, n in zip(found.origin, found.confidence.shape, strict=True)
)
there = truth[np.ix_(rows, columns)]
judged = ~found.abstain
right = np.array([1, 2])[[("fine", "coarse").index(name) for name in found.states]][found.state] == there
print(f"right in {right[judged].mean():.2f} of the windows; {found.abstain.mean():.2f} abstain")
