"""How text and lines come onto the page."""

from typing import TYPE_CHECKING, Any

from lvh.reports.ecg_plot.layout import GRID

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

PT = 72 / 25.4  # a mm
INK = "#111111"


def inside(ax: "Axes", artist: "Artist") -> None:
    """Cut off what is drawn beyond the grid."""
    from matplotlib.patches import Rectangle

    left, bottom, width, height = GRID
    artist.set_clip_path(Rectangle((left, bottom), width, height, transform=ax.transData))


def text(
    ax: "Axes",
    at: tuple[float, float],
    words: str,
    size: float,
    *,
    halo: bool = False,
    **look: Any,
) -> None:
    """Write words as they are, whatever they are, at a place in mm and with a size in points."""
    from matplotlib.patheffects import withStroke

    plain = "".join(one if one.isprintable() else "?" for one in words)
    if halo:  # text with an effect is no text any more, so that there are two
        around = [withStroke(linewidth=2, foreground="white")]
        ax.text(*at, plain, fontsize=size, parse_math=False, zorder=5, path_effects=around, **look)
    ax.text(*at, plain, fontsize=size, parse_math=False, zorder=5, **look)
