"""Draw a figure once and write what was drawn in several formats."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any, Literal

from matplotlib.artist import Artist
from matplotlib.backend_bases import FigureCanvasBase, GraphicsContextBase, RendererBase
from matplotlib.backends.backend_mixed import MixedModeRenderer
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.textpath import text_to_path
from matplotlib.transforms import Bbox, IdentityTransform, Transform, TransformedPath

POINTS_PER_INCH = 72.0

# What a call of a renderer becomes when it is written: it takes the renderer and the height of the page.
Write = Callable[[RendererBase, float], None]


class Recorder(RendererBase):
    """A renderer that keeps every call, in points, so that vector formats can be written without drawing again.

    Finding positions, ticks and texts takes two thirds of the time of a drawing; writing them takes the rest.

    Args:
        width: of the page, in points.
        height: of the page, in points.
    """

    def __init__(self, width: float, height: float) -> None:
        """Begin with an empty page."""
        super().__init__()
        self.width, self.height = width, height
        self.writes: list[Write] = []
        # One store of parsed mathtext for all figures of the process; each renderer has its own by default.
        self._text2path = text_to_path

    def get_canvas_width_height(self) -> tuple[float, float]:
        """Return the size of the page in points."""
        return self.width, self.height

    def points_to_pixels(self, points: Any) -> Any:
        """Return the same number, because a pixel is a point here."""
        return points

    def flipy(self) -> bool:
        """Return False: y grows upwards, as in a PDF."""
        return False

    def option_image_nocomposite(self) -> bool:
        """Return True: images are not blended into one."""
        return True

    def get_text_width_height_descent(
        self, s: str, prop: FontProperties, ismath: bool | Literal["TeX"]
    ) -> tuple[float, float, float]:
        """Return the size of a text without hinting, as vector formats need it."""
        width, height, descent = text_to_path.get_text_width_height_descent(s, prop, ismath)
        return float(width), float(height), float(descent)

    def open_group(self, s: str, gid: str | None = None) -> None:
        """Record the beginning of a group."""
        self.writes.append(lambda renderer, _: renderer.open_group(s, gid))

    def close_group(self, s: str) -> None:
        """Record the end of a group."""
        self.writes.append(lambda renderer, _: renderer.close_group(s))

    def draw_path(
        self, gc: GraphicsContextBase, path: Path, transform: Transform, *face: Any, **named: Any
    ) -> None:
        """Record a path."""
        self._record("draw_path", gc, path, transform, *face, **named)

    def draw_markers(
        self,
        gc: GraphicsContextBase,
        marker_path: Path,
        marker_trans: Transform,
        path: Path,
        trans: Transform,
        *face: Any,
        **named: Any,
    ) -> None:
        """Record a marker at each vertex of a path."""
        self._record("draw_markers", gc, marker_path, marker_trans, path, trans, *face, **named)

    def draw_path_collection(self, gc: GraphicsContextBase, *arguments: Any, **named: Any) -> None:
        """Record a collection of paths."""
        self._record("draw_path_collection", gc, *arguments, **named)

    def draw_image(self, gc: GraphicsContextBase, *arguments: Any, **named: Any) -> None:
        """Record an image."""
        self._record("draw_image", gc, *arguments, **named)

    def draw_text(
        self,
        gc: GraphicsContextBase,
        x: float,
        y: float,
        s: str,
        prop: FontProperties,
        angle: float,
        ismath: Any = False,
        mtext: Any = None,
    ) -> None:
        """Record a text; `mtext` is the artist that draws it, whose alignment an SVG keeps."""
        kept, artist = _copy_of(gc), None if mtext is None else _at_its_place(mtext)

        def write(renderer: RendererBase, height: float) -> None:
            context = _context_of(renderer, kept)
            renderer.draw_text(
                context, x, height - y if renderer.flipy() else y, s, prop, angle, ismath, artist
            )
            context.restore()

        self.writes.append(write)

    def _record(self, method: str, gc: GraphicsContextBase, *arguments: Any, **named: Any) -> None:
        kept = _copy_of(gc)  # the artist goes on with its own
        values = [value.frozen() if isinstance(value, Transform) else value for value in arguments]

        def write(renderer: RendererBase, _: float) -> None:
            context = _context_of(renderer, kept)
            getattr(renderer, method)(context, *values, **named)
            context.restore()

        self.writes.append(write)


def _copy_of(gc: GraphicsContextBase) -> GraphicsContextBase:
    """Copy a context with the places where it clips, which follow the figure otherwise."""
    kept = GraphicsContextBase()
    kept.copy_properties(gc)
    rectangle, (path, transform) = gc.get_clip_rectangle(), gc.get_clip_path()
    if rectangle is not None:
        kept.set_clip_rectangle(Bbox(rectangle.get_points().copy()))
    if path is not None and transform is not None:
        kept.set_clip_path(TransformedPath(path, transform.frozen()))  # type: ignore[arg-type]
    return kept


def _at_its_place(artist: Text) -> Text:
    """Copy a text with its position in points, so that the figure may change."""
    x, y = artist.get_transform().transform(artist.get_unitless_position())
    kept = copy(artist)
    kept.set_transform(IdentityTransform())
    kept.set_position((float(x), float(y)))
    return kept


def _context_of(renderer: RendererBase, kept: GraphicsContextBase) -> GraphicsContextBase:
    context = renderer.new_gc()
    context.copy_properties(kept)
    return context


class RecordingCanvas(FigureCanvasBase):
    """A canvas whose renderer is a `Recorder`; a layout finds it there and measures text with it.

    Args:
        figure: is drawn on it.
    """

    def __init__(self, figure: Figure) -> None:
        """Put the figure on the canvas."""
        super().__init__(figure)
        width, height = figure.get_size_inches() * POINTS_PER_INCH
        self.recorder = Recorder(float(width), float(height))

    def get_renderer(self) -> Recorder:
        """Return the renderer."""
        return self.recorder


class _Recording(Artist):
    """Writes the calls of a recorder with whatever renderer draws it."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def draw(self, renderer: RendererBase) -> None:
        # savefig puts its renderer, which does the work, into another one that can turn parts into pixels
        writer = renderer._renderer if isinstance(renderer, MixedModeRenderer) else renderer
        writer._text2path = text_to_path
        for write in self._recorder.writes:
            write(writer, self._recorder.height)


def page_of(recorder: Recorder) -> Figure:
    """Return a figure that shows what was recorded; save it as SVG or PDF.

    Args:
        recorder: on which a figure was drawn.
    """
    size = (recorder.width / POINTS_PER_INCH, recorder.height / POINTS_PER_INCH)
    page = Figure(figsize=size, dpi=POINTS_PER_INCH, frameon=False)
    page.add_artist(_Recording(recorder))
    return page
