"""Pictures of motions: contact sheets and moving GIFs of stick figures."""

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hpgan_core.data import cameras
from hpgan_core.data.cameras import Camera
from hpgan_core.data.human36m import MM_PER_M, to_world_mm
from hpgan_core.durable import write_durably
from hpgan_core.skeleton import Skeleton

Colour = tuple[int, int, int]

# The original's colours, by the side of a bone's child.
SIDE_COLOURS: dict[str, Colour] = {"left": (0, 0, 128), "centre": (128, 0, 0), "right": (0, 128, 0)}
INK, FAINT, ALARM = (40, 40, 40), (165, 165, 165), (190, 30, 30)
OBSERVED_PAPER, FUTURE_PAPER = (218, 218, 218), (255, 255, 255)

SHEET_WIDTH_PX = 1400
GIF_PANEL_WIDTH_PX = 190
PANEL_PROPORTIONS = (0.8, 1.7)  # least and most height of a panel, in widths
TEXT_PX = 15
LINE_PX = 18
MARGIN_PX = 6
BONE_PX = 3
BAR_PX = 5
SUPERSAMPLING = 3  # Pillow draws without antialiasing: panels are drawn larger, then reduced
HEAD_RADIUS = 0.036  # in heights of the drawn scene; without a head nobody sees a person
STRAY = 0.4  # how far predictions may widen the scene beyond the first motion, in its sizes

GIF_COLOURS = 64
SHORTEST_DELAY_S = 0.02  # browsers play anything shorter at a fraction of its speed
PAUSE_S = 0.8  # on the last frame, so that the eye finds the start of the loop


@dataclass(frozen=True)
class Pinhole:
    """A camera in the origin that looks along +z; its pictures are in pixels."""

    width_px: int
    height_px: int
    horizontal_fov_deg: float
    vertical_fov_deg: float


@dataclass(frozen=True)
class Orthographic:
    """A distant viewer who has walked ``yaw_deg`` around the person and looks down by ``pitch_deg``; in metres.

    Like the Kinect's own pictures a mirror image: x, to the sensor's left, is to the right.
    """

    yaw_deg: float
    pitch_deg: float


View = Pinhole | Orthographic | Camera

KINECT = Pinhole(width_px=512, height_px=424, horizontal_fov_deg=70.0, vertical_fov_deg=60.0)
# A little from the side and above, where steps and reaches towards the sensor show.
THREE_QUARTER = Orthographic(yaw_deg=30.0, pitch_deg=10.0)


def project(positions: np.ndarray, view: View) -> np.ndarray:
    """Positions as a viewer sees them.

    Args:
        positions: metres, y up, z away from the sensor, ``(..., 3)``; Human3.6M's for one of its cameras.
        view: where the viewer stands.

    Returns:
        ``(..., 3)``: right and down in the picture, in the view's unit, and the distance away from the viewer in
        metres. What is behind a pinhole or another camera is NaN.

    Source:
        The pinhole is ebarsoum/hpgan's for NTU RGB+D:
        ``u = W/2 + W / (2 tan 35°) x/z``, ``v = H/2 - H / (2 tan 30°) y/z``.
    """
    if isinstance(view, Camera):
        pixels, depth_mm = cameras.project(to_world_mm(positions), view)
        return np.concatenate([pixels, depth_mm[..., None] / MM_PER_M], axis=-1)
    x, y, z = np.moveaxis(np.asarray(positions, dtype=np.float64), -1, 0)
    with np.errstate(all="ignore"):
        if isinstance(view, Pinhole):
            away = np.where(z > 0, z, np.nan)
            right = view.width_px / 2 * (1 + x / away / math.tan(math.radians(view.horizontal_fov_deg / 2)))
            down = view.height_px / 2 * (1 - y / away / math.tan(math.radians(view.vertical_fov_deg / 2)))
        else:
            yaw, pitch = math.radians(view.yaw_deg), math.radians(view.pitch_deg)
            right, level = x * math.cos(yaw) + z * math.sin(yaw), z * math.cos(yaw) - x * math.sin(yaw)
            down = -y * math.cos(pitch) - level * math.sin(pitch)
            away = level * math.cos(pitch) - y * math.sin(pitch)
        return np.stack([right, down, away], axis=-1)


def contact_sheet(
    rows: Mapping[str, np.ndarray],
    skeleton: Skeleton,
    *,
    past_frames: int,
    frame_rate_hz: float,
    columns: Sequence[int] | None = None,
    view: View = THREE_QUARTER,
    stray: float = STRAY,
) -> np.ndarray:
    """Motions one below the other, time from left to right, all at one scale and from one viewpoint.

    Observed frames are pale on grey paper, the others stand on white. The first row sets the scale, and what strays far
    from it is cut off at the edge of its panel. A pose with values that are not finite is called diverged.

    Args:
        rows: label to motion in metres, ``(T, J, 3)``; the recorded one first, then predictions after the same past.
        skeleton: the bones to draw.
        past_frames: how many frames at the start were observed.
        frame_rate_hz: for the times above the columns; the last observed frame is at 0 s.
        columns: frames to show; by default ten spread over past and future, with the first and the last of both.
        view: where the viewer stands.
        stray: how far other rows may widen the scene beyond the first one, in its sizes.

    Returns:
        RGB picture, uint8 ``(H, W, 3)`` with ``W = SHEET_WIDTH_PX``.

    Raises:
        ValueError: no rows, motions of unequal shape or not of this skeleton, or frames or counts out of range.
    """
    clock = _Clock.of(rows, skeleton, past_frames, frame_rate_hz)
    shown = clock.spread() if columns is None else list(columns)
    if not shown or not all(0 <= frame < clock.n_frames for frame in shown):
        raise ValueError(f"columns must name frames from 0 to {clock.n_frames - 1}, found {shown}")
    figures = {label: project(np.asarray(motion)[shown], view) for label, motion in rows.items()}
    left, top = _text_width([*rows, *SIDE_COLOURS]) + 2 * MARGIN_PX, 3 * LINE_PX + 2 * MARGIN_PX
    panel = _Panel.around(list(figures.values()), (SHEET_WIDTH_PX - left) // len(shown), skeleton, view, stray)
    left = SHEET_WIDTH_PX - len(shown) * panel.width

    sheet = Image.new("RGB", (SHEET_WIDTH_PX, top + len(rows) * panel.height), FUTURE_PAPER)
    draw = ImageDraw.Draw(sheet)
    for line, (side, colour) in enumerate(SIDE_COLOURS.items()):
        _write(draw, (left - MARGIN_PX, MARGIN_PX + line * LINE_PX), side, "rt", colour)
    for row, (label, figure) in enumerate(figures.items()):
        y = top + row * panel.height
        _write(draw, (left - MARGIN_PX, y + panel.height // 2), label, "rm")
        for column, frame in enumerate(shown):
            picture = panel.picture(figure[column], observed=clock.is_observed(frame))
            sheet.paste(picture, (left + column * panel.width, y))
        draw.line([(0, y), (SHEET_WIDTH_PX, y)], FAINT)
    for column, frame in enumerate(shown):
        x = left + column * panel.width
        _write(draw, (x + panel.width // 2, top - MARGIN_PX), clock.time(frame), "mb")
        if column == 0 or clock.is_observed(frame) != clock.is_observed(shown[column - 1]):
            _write(draw, (x + MARGIN_PX, MARGIN_PX), clock.era(frame), "lt", size_px=LINE_PX)
            draw.line([(x, 0), (x, sheet.height)], FAINT)
    return np.asarray(sheet)


def motion_gif(
    path: str | Path,
    panels: Mapping[str, np.ndarray],
    skeleton: Skeleton,
    *,
    past_frames: int,
    frame_rate_hz: float,
    view: View = THREE_QUARTER,
) -> None:
    """Write motions side by side as a GIF that loops at the speed of life, resting on the last frame.

    Poses are drawn as in ``contact_sheet``; a bar below tells the time and what was observed. Above 50 Hz frames are
    left out, because browsers slow such GIFs down. The file appears whole or not at all.

    Args:
        path: the file to write or replace.
        panels: title to motion in metres, ``(T, J, 3)``; the recorded one first.
        skeleton: the bones to draw.
        past_frames: how many frames at the start were observed.
        frame_rate_hz: frames a second of the motions.
        view: where the viewer stands.

    Raises:
        ValueError: no panels, motions of unequal shape or not of this skeleton, or counts out of range.
    """
    clock = _Clock.of(panels, skeleton, past_frames, frame_rate_hz)
    figures = {title: project(np.asarray(motion), view) for title, motion in panels.items()}
    width = max(GIF_PANEL_WIDTH_PX, _text_width(panels) + 2 * MARGIN_PX)
    panel = _Panel.around(list(figures.values()), width, skeleton, view)
    shown = range(0, clock.n_frames, math.ceil(frame_rate_hz * SHORTEST_DELAY_S))
    top, bar = LINE_PX + 2 * MARGIN_PX, LINE_PX + 2 * MARGIN_PX + BAR_PX

    pictures = []
    for frame in shown:
        picture = Image.new("RGB", (len(panels) * width, top + panel.height + bar), FUTURE_PAPER)
        draw = ImageDraw.Draw(picture)
        for column, (title, figure) in enumerate(figures.items()):
            _write(draw, (column * width + width // 2, top - MARGIN_PX), title, "mb")
            picture.paste(panel.picture(figure[frame], observed=clock.is_observed(frame)), (column * width, top))
            draw.line([(column * width, 0), (column * width, top + panel.height)], FAINT)
        _draw_progress(draw, (0, top + panel.height, picture.width, picture.height), clock, frame)
        pictures.append(picture)
    # A GIF counts in hundredths of a second: rounding the times instead of the delays keeps the pace.
    times_ms = [10 * round(100 * frame / frame_rate_hz) for frame in [*shown, clock.n_frames]]
    delays_ms = [end - start for start, end in pairwise(times_ms)]
    delays_ms[-1] += round(1000 * PAUSE_S)
    _write_gif(Path(path), pictures, delays_ms)


@dataclass(frozen=True)
class _Clock:
    """Which frames there are, which of them were observed, and when."""

    n_frames: int
    past_frames: int
    frame_rate_hz: float

    @classmethod
    def of(
        cls, motions: Mapping[str, np.ndarray], skeleton: Skeleton, past_frames: int, frame_rate_hz: float
    ) -> "_Clock":
        shapes = {label: np.shape(motion) for label, motion in motions.items()}
        n_frames = next((shape[0] for shape in shapes.values() if shape), 0)
        if n_frames == 0 or set(shapes.values()) != {(n_frames, skeleton.n_joints, 3)}:
            raise ValueError(f"motions must have one shape (T, {skeleton.n_joints}, 3), found {shapes}")
        if not 0 <= past_frames <= n_frames:
            raise ValueError(f"past_frames must be from 0 to {n_frames}, found {past_frames}")
        if not 0 < frame_rate_hz < math.inf:
            raise ValueError(f"frame_rate_hz must be positive, found {frame_rate_hz}")
        return cls(n_frames, past_frames, frame_rate_hz)

    def is_observed(self, frame: int) -> bool:
        return frame < self.past_frames

    def era(self, frame: int) -> str:
        return "observed" if self.is_observed(frame) else "future"

    def time(self, frame: int) -> str:
        return f"{(frame - self.past_frames + 1) / self.frame_rate_hz:.2f} s"

    def spread(self) -> list[int]:
        """Three observed frames and seven later ones, fewer where there are fewer."""
        past = np.linspace(0, self.past_frames - 1, min(3, self.past_frames))
        future = np.linspace(self.past_frames, self.n_frames - 1, min(7, self.n_frames - self.past_frames))
        return [round(frame) for frame in [*past, *future]]


@dataclass(frozen=True)
class _Panel:
    """The window through which all poses of a picture are seen.

    Attributes:
        skeleton: the bones to draw.
        width: pixels.
        height: pixels.
        scale: pixels for each unit of the view.
        corner: what the upper left pixel shows, in the view's unit, ``(2,)``.
        floor: the lowest point the first motion reaches, in pixels below the upper edge; none in a camera's picture,
            where the floor under people at other distances is higher or lower.
    """

    skeleton: Skeleton
    width: int
    height: int
    scale: float
    corner: np.ndarray
    floor: float | None

    @classmethod
    def around(
        cls, figures: Sequence[np.ndarray], width: int, skeleton: Skeleton, view: View, stray: float = STRAY
    ) -> "_Panel":
        """A panel ``width`` pixels wide with room for the first of the projected motions and the others near it."""
        scenes = [_scene(figure) for figure in figures if _is_drawable(figure).any()]
        first = scenes[0] if scenes else np.array([[0.0, 0.0], [1.0, 1.0]])
        margin = stray * (first[1] - first[0])
        low = np.maximum(first[0] - margin, np.min([first, *scenes], axis=0)[0])
        high = np.minimum(first[1] + margin, np.max([first, *scenes], axis=0)[1])
        size = np.maximum(high - low, 1e-6)
        height = round(width * float(np.clip(size[1] / size[0], *PANEL_PROPORTIONS)))
        room = np.array([width, height])
        scale = float(np.min((room - 4 * MARGIN_PX) / size))
        corner = (low + high - room / scale) / 2
        floor = float(first[1, 1] - corner[1]) * scale if isinstance(view, Orthographic) else None
        return cls(skeleton, width, height, scale, corner, floor)

    def picture(self, pose: np.ndarray, *, observed: bool) -> Image.Image:
        """One projected pose ``(J, 3)``, far bones behind near ones."""
        paper = OBSERVED_PAPER if observed else FUTURE_PAPER
        image = Image.new("RGB", (SUPERSAMPLING * self.width, SUPERSAMPLING * self.height), paper)
        draw = ImageDraw.Draw(image)
        if _is_drawable(pose):
            if self.floor is not None:
                floor = SUPERSAMPLING * self.floor
                draw.line([(0, floor), (image.width, floor)], FAINT, SUPERSAMPLING)
            # Pillow cannot draw to places very far outside of the picture.
            reach = 10 * max(image.size)
            points = np.clip(SUPERSAMPLING * self.scale * (pose[:, :2] - self.corner), -reach, reach)
            for parent, child in sorted(self.skeleton.bones, key=lambda bone: -pose[list(bone), 2].sum()):
                colour = SIDE_COLOURS[self.skeleton.side(child)]
                self._draw_bone(draw, points, parent, child, _pale(colour) if observed else colour)
        else:
            middle = (image.width // 2, image.height // 2)
            _write(draw, middle, "diverged", "mm", ALARM, SUPERSAMPLING * TEXT_PX)
        return image.reduce(SUPERSAMPLING)

    def _draw_bone(
        self, draw: ImageDraw.ImageDraw, points: np.ndarray, parent: int, child: int, colour: Colour
    ) -> None:
        draw.line([*points[parent], *points[child]], colour, SUPERSAMPLING * BONE_PX)
        for joint in (parent, child):
            draw.circle(tuple(points[joint]), SUPERSAMPLING * BONE_PX / 2, colour)
        if self.skeleton.joints[child] == "Head":
            draw.circle(tuple(points[child]), SUPERSAMPLING * HEAD_RADIUS * self.height, colour)


def _is_drawable(pose: np.ndarray) -> np.ndarray:
    """Whether all joints of projected poses ``(..., J, 3)`` are finite, ``(...)``."""
    return np.asarray(np.isfinite(pose).all(axis=(-2, -1)))


def _scene(figure: np.ndarray) -> np.ndarray:
    """Least and greatest right and down of a projected motion, ``(2, 2)``."""
    poses = figure[_is_drawable(figure), :, :2]
    return np.stack([poses.min(axis=(0, 1)), poses.max(axis=(0, 1))])


def _draw_progress(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], clock: _Clock, frame: int) -> None:
    """The time as a bar and as words, and the sides in their colours."""
    left, top, right, bottom = box
    for frames, colour in ((clock.n_frames, OBSERVED_PAPER), (clock.past_frames, FAINT), (frame + 1, INK)):
        draw.rectangle((left, top, left + (right - left) * frames // clock.n_frames, top + BAR_PX - 1), colour)
    middle = (top + BAR_PX + bottom) // 2
    _write(draw, (left + MARGIN_PX, middle), f"{clock.era(frame)} {clock.time(frame)}", "lm")
    for side in reversed(SIDE_COLOURS):
        _write(draw, (right - MARGIN_PX, middle), side, "rm", SIDE_COLOURS[side])
        right -= _text_width([side]) + MARGIN_PX


def _pale(colour: Colour) -> Colour:
    red, green, blue = ((one + other) // 2 for one, other in zip(colour, OBSERVED_PAPER, strict=True))
    return red, green, blue


@cache
def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size_px)  # Pillow carries it: the same picture on every machine


def _text_width(texts: Iterable[str]) -> int:
    return math.ceil(max(_font(TEXT_PX).getlength(text) for text in texts))


def _write(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, anchor: str, colour: Colour = INK, size_px: int = TEXT_PX
) -> None:
    draw.text(at, text, colour, _font(size_px), anchor)


def _write_gif(path: Path, pictures: Sequence[Image.Image], delays_ms: Sequence[int]) -> None:
    # One palette for all frames: only what moves changes from frame to frame, which keeps the file small.
    both_eras = Image.fromarray(np.concatenate([pictures[0], pictures[-1]]))
    palette = both_eras.quantize(GIF_COLOURS)
    frames = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    content = io.BytesIO()
    frames[0].save(
        content, "GIF", save_all=True, append_images=frames[1:], duration=list(delays_ms), loop=0, optimize=False
    )
    write_durably(path, content.getvalue())
