"""What every figure must be to be read in print."""

import matplotlib.text
from persistem.report.figures import drawing


def check_print(figure):
    """A figure is as wide as a page or a column, and no text is smaller than the style's, or beyond the figure.

    ``figure`` was drawn, so that its layout is known.
    """
    assert round(25.4 * figure.get_figwidth(), 1) in (170, 85)
    with drawing.style():
        least = matplotlib.rcParams["font.size"]
    renderer = figure.canvas.get_renderer()
    width, height = figure.bbox.size
    unseen = _unseen(figure)
    for text in figure.findobj(matplotlib.text.Text):
        said = text.get_text().strip()
        if not said or not text.get_visible() or id(text) in unseen:
            continue
        assert text.get_fontsize() >= least, (said, text.get_fontsize())
        box = text.get_window_extent(renderer)
        outside = max(-box.x0, -box.y0, box.x1 - width, box.y1 - height)
        assert outside <= 1.5, (said, outside)  # px


def _unseen(figure):
    """The texts that Matplotlib keeps but does not draw: of ticks beyond the ends, and of axes that are off."""
    unseen = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            drawn = axis._update_ticks() if axes.axison and axes.get_visible() and axis.get_visible() else []
            kept = {id(text) for tick in drawn for text in (tick.label1, tick.label2)}
            every = [text for tick in (*axis.majorTicks, *axis.minorTicks) for text in (tick.label1, tick.label2)]
            unseen |= {id(text) for text in every} - kept
            if not axes.axison:
                unseen |= {id(axis.label), id(axis.offsetText)}
    return unseen
