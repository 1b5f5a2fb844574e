"""Which bins of a persistence image decide

`StateClassifier` is the paper's: persistence images and logistic regression. Its weights are one number for each bin,
so they can be drawn where the bins are: along birth and death.
"""

import matplotlib.pyplot as plt
import numpy as np
from grains import grain
from persistem.estimators import StateClassifier
from persistem.study import Recipe
from persistem.topology.persistence_images import mesh_pixels

images, states = [], []
for seed in range(40):
    rng = np.random.default_rng(seed)
    for state, period in (("fine", 3.0), ("coarse", 6.0)):
        images.append(1 + 0.1 * grain(period, (48, 48), rng))
        states.append(state)
images = np.array(images)

model = StateClassifier(bins=32).fit(images[:60], states[:60])
right = model.predict(images[60:]) == np.array(states[60:])
print(f"right in {right.sum()} of {len(right)} images that it has not seen")

weights = model.pipeline_["logisticregression"].coef_[0].reshape(2, -1)
birth, death = mesh_pixels(Recipe(bins=32)).T  # the centre of each bin
limit = abs(weights).max()
figure, axes = plt.subplots(1, 2, figsize=(6.7, 3.0), layout="constrained", sharey=True)
for of, name, panel in zip(weights, ("islands", "rings"), axes, strict=True):
    shown = panel.scatter(birth, death, 22, of, "s", cmap="RdBu_r", vmin=-limit, vmax=limit)
    panel.set(title=name, xlabel="Birth (grey level)", aspect="equal", xlim=(0, 255), ylim=(0, 255))
axes[0].set_ylabel("Death (grey level)")
figure.colorbar(shown, ax=axes, label=f"weight (positive: {model.classes_[1]})")
