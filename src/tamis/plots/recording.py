"""Draw a figure once, and write the drawing in several formats."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any, Literal

from matplotlib.artist import Artist
from matplotlib.backend_bases import FigureCanvasBase, GraphicsContextBase, RendererBase
from matplotlib.backends.backend_mixed import MixedModeRenderer
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from matplotlib.textpath import text_to_path
from matplotlib.transforms import Bbox, IdentityTransform, Transform, TransformedPath

POINTS_PER_INCH = 72.0

Write = Callable[[RendererBase, float], None]
"""A recorded call; its arguments are the renderer that writes it and the height of the page."""


def _recorded(method: str) -> Callable[..., None]:
    """Return a method of a recorder that records the calls of a method of renderers."""

    def record(recorder: Recorder, gc: GraphicsContextBase, *arguments: Any, **named: Any) -> None:
        context_copy = _copy_context(gc)  # the artist changes its own context for the next call
        values = [value.frozen() if isinstance(value, Transform) else value for value in arguments]

        def write(renderer: RendererBase, _: float) -> None:
            context = renderer.new_gc()
            context.copy_properties(context_copy)
            getattr(renderer, method)(context, *values, **named)
            context.restore()

        recorder.writes.append(write)

    return record


class Recorder(RendererBase):
    """A renderer that records every call, so that several vector formats can be written from one drawing.

    Two thirds of the time of a drawing pass with positions, ticks and texts, and one third with writing. The size of
    the page is in points.
    """

    def __init__(self, width: float, height: float) -> None:
        """Create an empty page."""
        super().__init__()
        self.width, self.height = width, height
        self.writes: list[Write] = []
        # one cache of parsed mathtext for all figures of the process; by default each renderer has its own
        self._text2path = text_to_path

    def get_canvas_width_height(self) -> tuple[float, float]:
        """Return the size of the page in points."""
        return self.width, self.height

    def points_to_pixels(self, points: Any) -> Any:
        """Return the same number, because a pixel is a point here."""
        return points

    def flipy(self) -> bool:
        """Return False: the y axis points upwards, as in a PDF."""
        return False

    def option_image_nocomposite(self) -> bool:
        """Return True: images are not merged into one."""
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

    draw_path = _recorded("draw_path")
    draw_markers = _recorded("draw_markers")
    draw_path_collection = _recorded("draw_path_collection")
    draw_image = _recorded("draw_image")

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
        """Record a text; an SVG has the alignment of `mtext`, the artist that draws the text."""
        context_copy, artist = _copy_context(gc), None if mtext is None else _copy_text(mtext)

        def write(renderer: RendererBase, height: float) -> None:
            context = renderer.new_gc()
            context.copy_properties(context_copy)
            renderer.draw_text(
                context, x, height - y if renderer.flipy() else y, s, prop, angle, ismath, artist
            )
            context.restore()

        self.writes.append(write)


def _copy_context(gc: GraphicsContextBase) -> GraphicsContextBase:
    """Copy a context with its clip region, which would otherwise follow the figure."""
    context = GraphicsContextBase()
    context.copy_properties(gc)
    rectangle, (path, transform) = gc.get_clip_rectangle(), gc.get_clip_path()
    if rectangle is not None:
        context.set_clip_rectangle(Bbox(rectangle.get_points().copy()))
    if path is not None and transform is not None:
        context.set_clip_path(TransformedPath(path, transform.frozen()))  # type: ignore[arg-type]
    return context


def _copy_text(artist: Text) -> Text:
    """Copy a text with its position in points, which would otherwise follow the figure."""
    x, y = artist.get_transform().transform(artist.get_unitless_position())
    text = copy(artist)
    text.set_transform(IdentityTransform())
    text.set_position((float(x), float(y)))
    return text


class RecordingCanvas(FigureCanvasBase):
    """A canvas whose renderer is a `Recorder`, so that the layout measures text with the recorder too."""

    def __init__(self, figure: Figure) -> None:
        """Attach the figure to the canvas."""
        super().__init__(figure)
        width, height = figure.get_size_inches() * POINTS_PER_INCH
        self.recorder = Recorder(float(width), float(height))

    def get_renderer(self) -> Recorder:
        """Return the renderer."""
        return self.recorder


class _Recording(Artist):
    """An artist that repeats the calls of a recorder with another renderer."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def draw(self, renderer: RendererBase) -> None:
        # savefig wraps the renderer that writes in another one, which can rasterize parts
        writer = renderer._renderer if isinstance(renderer, MixedModeRenderer) else renderer
        writer._text2path = text_to_path
        for write in self._recorder.writes:
            write(writer, self._recorder.height)


def page_of(recorder: Recorder) -> Figure:
    """Return a figure that shows a recorded drawing, to be saved as SVG or PDF."""
    size = (recorder.width / POINTS_PER_INCH, recorder.height / POINTS_PER_INCH)
    page = Figure(figsize=size, dpi=POINTS_PER_INCH, frameon=False)
    page.add_artist(_Recording(recorder))
    return page
