"""Features of windows in a scikit-learn pipeline

Square windows of two grains, cut from six micrographs. `WindowFeatures` describes each by the moments of its birth-
death pairs, logistic regression tells them apart. Windows of one micrograph are never on both sides of a split:
without such groups an accuracy says nothing.
"""

import matplotlib.pyplot as plt
import numpy as np
from grains import PIXEL, grain
from persistem.estimators import WindowFeatures
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SIDE = 32
windows, states, micrographs = [], [], []
for seed in range(6):
    rng = np.random.default_rng(seed)
    for state, period in (("fine", 3.5), ("coarse", 3.7)):
        pixels = 1 + 0.1 * grain(period, (128, 128), rng) + 0.1 * rng.normal(size=(128, 128))
        for row in range(0, 128, SIDE):
            for column in range(0, 128, SIDE):
                windows.append(pixels[row : row + SIDE, column : column + SIDE])
                states.append(state)
                micrographs.append(seed)
windows, states = np.array(windows), np.array(states)

figure, axes = plt.subplots(1, 2, figsize=(6.7, 3.2), layout="constrained", sharey=True)
for blocks, panel in ((("lifetimes",), axes[0]), (("spectrum",), axes[1])):
    model = make_pipeline(WindowFeatures(blocks, sampling=PIXEL), StandardScaler(), LogisticRegression())
    chance = cross_val_predict(model, windows, states, groups=micrographs, cv=GroupKFold(6), method="predict_proba")[
        :, 1
    ]
    right = (chance > 0.5) == (states == "fine")
    print(f"{blocks[0]}: right in {right.mean():.2f} of the windows of unseen micrographs")
    panel.hist([chance[states == "fine"], chance[states == "coarse"]], 20, (0, 1), label=["fine", "coarse"])
    panel.set(title=blocks[0], xlabel="Probability of fine")
axes[0].set_ylabel("Windows")
axes[0].legend()
