"""``study data describe``: what a data set holds, how it would be split, and what was left out of it."""

import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hpgan_core.data import READERS, dataset_at, list_recordings, read_recordings
from hpgan_core.data.cameras import Camera, read_cameras
from hpgan_core.data.parallel import DAMAGED, Outcome, read_in_order
from hpgan_core.data.prepare import Progress
from hpgan_core.data.recordings import Digest, Recording, Rejected
from hpgan_core.data.split import BY_SUBJECT, PROTOCOLS, split_clips
from hpgan_core.durable import write_durably
from hpgan_core.errors import BadInput
from hpgan_core.skeleton import HUMAN36M_17, HUMAN36M_32, KINECT_V2, Skeleton
from hpgan_core.viz import KINECT, THREE_QUARTER, Orthographic, View, contact_sheet, project
from study.errors import BadStudyInput
from study.motion import reading_bar
from study.yaml_source import MalformedYaml, parse_yaml

SPLITS = ("train", "validation", "test")
NAMED = 3  # of many files that were left out for one reason
MOST_EXAMPLES = 6
CAMERA = 2  # of the four the one that the original code draws
STRAY = 3.0  # people who were recorded apart may stand near a camera and far away, at its left and at its right
VIEWS: dict[str, View] = {"three-quarter": THREE_QUARTER, "kinect": KINECT}


def run(
    place: str,
    *,
    dataset: str | None,
    overrides: Sequence[str],
    all_rejects: bool,
    as_json: bool,
    picture: Path | None,
    view: str | None,
    cameras: Path | None,
    console: Console,
) -> None:
    """Describe a folder of recordings, a motion archive or a generated data set.

    Raises:
        BadStudyInput: a wrong option, or a picture that cannot be drawn or written.
        BadInput: nothing there can be read.
    """
    for option, value in (("--view", view), ("--cameras", cameras)):
        if value is not None and picture is None:
            raise BadStudyInput(f"{option} is for --picture: give both")
    if view is not None and cameras is not None:
        raise BadStudyInput("--view and --cameras both say from where to draw: give one")
    inventory = take_inventory(named_data(place, dataset, overrides))
    if picture is not None:
        draw(inventory, picture, view or "three-quarter", cameras)
    if as_json:
        print(json.dumps(inventory.to_json(), indent=2))
        return
    show(inventory, console)
    if all_rejects:
        for reject in inventory.rejected:
            console.print(_printable(f"{reject.path}: {reject.reason}"), soft_wrap=True)


def named_data(place: str, dataset: str | None, overrides: Sequence[str]) -> dict[str, Any]:
    """The data set that ``place`` is, or is the name of, as ``read_recordings`` takes it.

    Args:
        place: a folder, a motion archive, or the name of a reader that needs neither.
        dataset: name of the reader, where it is not to be recognised.
        overrides: options of the reader, ``name=value``.

    Raises:
        BadStudyInput: no ``name=value``, or one for what ``place`` and ``dataset`` say.
        BadInput: there is no data set.
    """
    options = dict(map(_option, overrides))
    if dataset is not None:
        source = {"dataset": dataset, "path" if dataset == "archive" else "root": place}
    elif place in READERS and not Path(place).exists():
        source = {"dataset": place}
    else:
        source = dict(dataset_at(Path(place)))
    for name, value in options.items():
        if name in source:
            raise BadStudyInput(f"--set {name}={value}: leave it out, {source[name]} is the {name} already")
    return source | options


def _option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise BadStudyInput(f"--set {text}: must be name=value, as in max_action=60")
    try:
        return name, parse_yaml(value).data
    except MalformedYaml as error:
        raise BadStudyInput(f"--set {text}: the value {error.problem}") from None


def take_inventory(data: Mapping[str, Any]) -> "Inventory":
    """Read all recordings once, and keep what is to be said of them.

    Raises:
        BadInput: they cannot be read.
    """
    every: Iterable[Outcome]
    source = list_recordings(data)
    if source is None:
        recordings = read_recordings(data)
        every = chain(recordings.rejected, recordings.clips)
        return Inventory.of(data, recordings.skeleton, recordings.frame_rate_hz, every)
    with reading_bar(Console(stderr=True)) as progress, closing(read_in_order(source, source.paths)) as outcomes:
        every = chain(source.rejected, _counted(outcomes, len(source.paths), progress))
        return Inventory.of(data, source.skeleton, source.frame_rate_hz, every)


def _counted(outcomes: Iterable[Outcome], total: int, progress: Progress) -> Iterator[Outcome]:
    for done, outcome in enumerate(outcomes, start=1):
        yield outcome
        progress(done, total)


@dataclass(frozen=True)
class Inventory:
    """A data set without the positions.

    Attributes:
        data: its name and options.
        skeleton: of every clip.
        frame_rate_hz: likewise.
        digest: of the recordings.
        subjects: who moves, by the name of the clip.
        actions: what is done in each clip.
        lengths: frames of each clip.
        rejected: files that were left out.
        examples: long clips of different actions, or else of different people.
    """

    data: Mapping[str, Any]
    skeleton: Skeleton
    frame_rate_hz: float
    digest: str
    subjects: dict[str, str]
    actions: list[str]
    lengths: list[int]
    rejected: list[Rejected]
    examples: list[Recording]

    @classmethod
    def of(
        cls,
        data: Mapping[str, Any],
        skeleton: Skeleton,
        frame_rate_hz: float,
        outcomes: Iterable[Outcome],
        digest: str | None = None,
    ) -> "Inventory":
        """Look at one recording after the other; ``digest`` is computed unless it is known."""
        sha = Digest(skeleton, frame_rate_hz)
        subjects, actions, lengths = {}, [], []
        rejected: list[Rejected] = []
        of_action: dict[str, Recording] = {}
        of_subject: dict[str, Recording] = {}
        for outcome in outcomes:
            if isinstance(outcome, Rejected):
                rejected.append(outcome)
                continue
            subjects[outcome.name] = outcome.subject
            actions.append(outcome.action)
            lengths.append(len(outcome.positions))
            if digest is None:
                sha.add(outcome)
            _keep_longest(of_action, outcome.action, outcome)
            _keep_longest(of_subject, outcome.subject, outcome)
        different = {clip.name: clip for clip in chain(of_action.values(), of_subject.values())}
        shown = list(different.values())[:MOST_EXAMPLES]
        return cls(
            data, skeleton, frame_rate_hz, digest or sha.hexdigest(), subjects, actions, lengths, rejected, shown
        )

    @property
    def seconds(self) -> float:
        return sum(self.lengths) / self.frame_rate_hz

    def splits(self) -> dict[str, dict[str, dict[str, int]]]:
        """Clips and people of each split, by each protocol that the data set can be split by."""
        found = {}
        for protocol in (BY_SUBJECT, *PROTOCOLS):
            with suppress(BadInput):
                part = split_clips(self.subjects, protocol)
                found[protocol] = {
                    split: {
                        "clips": sum(its == split for its in part.values()),
                        "people": len({self.subjects[clip] for clip, its in part.items() if its == split}),
                    }
                    for split in SPLITS
                }
        return found

    def reasons(self) -> dict[str, list[Rejected]]:
        """Files that were left out for one reason, but for its numbers; damaged ones first, then the most."""
        alike = defaultdict(list)
        for reject in self.rejected:
            damaged = reject.reason.startswith(DAMAGED)
            alike[DAMAGED if damaged else re.sub(r"\d+", "\0", reject.reason)].append(reject)
        ranked = sorted(alike.items(), key=lambda item: (item[0] != DAMAGED, -len(item[1])))
        return {_common([reject.reason for reject in rejects]): rejects for _, rejects in ranked}

    def to_json(self) -> dict[str, Any]:
        lengths = self.lengths
        return {
            "data": dict(self.data),
            "skeleton": self.skeleton.name,
            "frame_rate_hz": self.frame_rate_hz,
            "clips": len(self.lengths),
            "frames": sum(self.lengths),
            "seconds": self.seconds,
            "lengths": {"min": min(lengths), "median": median(lengths), "max": max(lengths)} if lengths else None,
            "people": dict(sorted(Counter(self.subjects.values()).items())),
            "actions": dict(sorted(Counter(self.actions).items())),
            "splits": self.splits(),
            "rejected": {
                reason: [{"path": str(reject.path), "reason": reject.reason} for reject in rejects]
                for reason, rejects in self.reasons().items()
            },
            "digest": self.digest,
        }


def _keep_longest(examples: dict[str, Recording], key: str, clip: Recording) -> None:
    """Of each of the first few keys keep the longest clip, so that as few as that are in memory."""
    if key not in examples and len(examples) == MOST_EXAMPLES:
        return
    if key not in examples or len(clip.positions) > len(examples[key].positions):
        examples[key] = clip


def _common(reasons: Sequence[str]) -> str:
    """What reasons that differ in nothing but numbers have in common, with the range of each number."""
    if reasons[0].startswith(DAMAGED):
        return DAMAGED
    numbers = zip(*(re.findall(r"\d+", reason) for reason in reasons), strict=True)
    ranges = iter([sorted(set(column), key=int) for column in numbers])
    return re.sub(r"\d+", lambda _: _range(next(ranges)), reasons[0])


def _range(ordered: Sequence[str]) -> str:
    return ordered[0] if len(ordered) == 1 else f"{ordered[0]}–{ordered[-1]}"


def _ranges(names: Iterable[str]) -> str:
    """Names in their order, those that end in consecutive numbers as ranges: ``P001–P003, P007``."""
    split = (re.fullmatch(r"(.*?)(\d*)", name, re.DOTALL) for name in set(names))
    ordered = sorted((parts[1], int(parts[2] or 0), parts[0]) for parts in split if parts)
    runs = groupby(enumerate(ordered), key=lambda item: (item[1][0], item[1][1] - item[0]))
    return ", ".join(_range([name for _, (_, _, name) in run]) for _, run in runs)


def show(inventory: Inventory, console: Console) -> None:
    """Print what a data set holds."""
    people, actions, lengths = set(inventory.subjects.values()), set(inventory.actions), inventory.lengths
    rate, place = inventory.frame_rate_hz, inventory.data.get("root", inventory.data.get("path", ""))
    described = (
        f"{inventory.data['dataset']}, {inventory.skeleton.name}, {inventory.skeleton.n_joints} joints, {rate:g} Hz"
    )
    facts = Table.grid(padding=(0, 2, 0, 0))
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("Data", _printable(f"{place}\n{described}".strip()))
    facts.add_row("Clips", f"{len(lengths):,}: {sum(lengths):,} frames, {_duration(inventory.seconds)}")
    if lengths:
        least, middle, most = min(lengths), median(lengths), max(lengths)
        in_seconds = f"{least / rate:.1f} to {most / rate:.1f} s, median {middle / rate:.1f} s"
        facts.add_row("Lengths", f"{least} to {most} frames, median {middle:g}; {in_seconds}")
        facts.add_row("People", f"{len(people)}: {_ranges(people)}")
        facts.add_row("Actions", f"{len(actions)}: {_ranges(actions)}")
        facts.add_row("Splits", _splits(inventory))
    for reason, rejects in inventory.reasons().items():
        facts.add_row(*_left_out(reason, rejects))
    facts.add_row("Digest", inventory.digest)
    console.print(facts)


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.1f} s"
        if seconds < 120
        else f"{seconds / 60:.1f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )


def _printable(text: str) -> str:
    """Without the bytes of a file's name that are no text."""
    return text.encode(errors="replace").decode()


def _splits(inventory: Inventory) -> Table | str:
    splits = inventory.splits()
    if not splits:
        return "none: training, validation and test need a person each"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column("clips / people")
    for split in SPLITS:
        table.add_column(split, justify="right")
    for protocol, parts in splits.items():
        table.add_row(protocol, *(f"{parts[split]['clips']:,} / {parts[split]['people']}" for split in SPLITS))
    return table


def _left_out(reason: str, rejects: Sequence[Rejected]) -> tuple[Text, Text]:
    """A label and what stands beside it, for files that were left out for one reason."""
    n_files, more = f"{len(rejects):,} file{'s' * (len(rejects) > 1)}", len(rejects) - NAMED
    damaged = reason == DAMAGED
    named = [reject.path.name + reject.reason.removeprefix(DAMAGED) * damaged for reject in rejects[:NAMED]]
    named += [f"and {more:,} more (--rejects lists them)"] * (more > 0)
    below = _printable("".join(f"\n  {line}" for line in named))
    if damaged:
        return Text("Damaged", "bold red"), Text.assemble((f"{n_files}, left out", "bold red"), below)
    return Text("Left out"), Text(f"{n_files}: {_printable(reason)}{below}")


def draw(inventory: Inventory, picture: Path, view_name: str, cameras: Path | None) -> None:
    """Draw a window out of the middle of each example, as a study would cut it.

    Args:
        inventory: the data set.
        picture: the PNG to write.
        view_name: in ``VIEWS``.
        cameras: of Human3.6M, to draw what one of them sees instead.

    Raises:
        BadStudyInput: there is nothing to draw, no camera for it, or no place for the picture.
        BadInput: the cameras cannot be read.
    """
    # Imported here, since it needs torch.
    from hpgan_core.windows import FUTURE_FRAMES, PAST_FRAMES

    window = PAST_FRAMES + FUTURE_FRAMES
    examples = [clip for clip in inventory.examples if len(clip.positions) >= window]
    if not examples:
        raise BadStudyInput(f"--picture {picture}: no clip has {window} frames")
    view, rows = VIEWS[view_name], {}
    if cameras is not None:
        subject = examples[0].subject
        view = _camera(cameras, inventory.skeleton, subject)
        examples = [clip for clip in examples if clip.subject == subject]
    elif view == KINECT and inventory.skeleton != KINECT_V2:
        raise BadStudyInput(f"--view kinect: its recordings are of {KINECT_V2.name}, this is {inventory.skeleton.name}")
    for clip in examples:
        start = (len(clip.positions) - window) // 2
        motion = clip.positions[start : start + window]
        if isinstance(view, Orthographic):
            # A distant viewer may stand anywhere: before each person in turn.
            motion = motion - _place(motion, inventory.skeleton)
        elif not np.isfinite(project(motion, view)).all():
            raise BadStudyInput(
                f"--picture {picture}: {clip.name} is not in front of the camera; use --view three-quarter"
            )
        rows[clip.name] = motion
    sheet = contact_sheet(
        rows,
        inventory.skeleton,
        past_frames=PAST_FRAMES,
        frame_rate_hz=inventory.frame_rate_hz,
        view=view,
        stray=STRAY,
    )
    content = io.BytesIO()
    Image.fromarray(sheet).save(content, "PNG")
    try:
        write_durably(picture, content.getvalue())
    except OSError as error:
        raise BadStudyInput(f"--picture {picture}: cannot be written: {error.strerror}") from error


def _camera(path: Path, skeleton: Skeleton, subject: str) -> Camera:
    """A camera where it stood for one of the people; each has its own."""
    if skeleton not in (HUMAN36M_17, HUMAN36M_32):
        raise BadStudyInput(f"--cameras {path}: they stand in the world of Human3.6M, this is {skeleton.name}")
    camera = read_cameras(path).get((subject, CAMERA))
    if camera is None:
        raise BadStudyInput(f"--cameras {path}: there is no camera for {subject}")
    return camera


def _place(motion: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Where a person stands, on the floor: metres, ``(3,)``."""
    x, _, z = motion[:, skeleton.root].mean(axis=0)
    return np.array([x, motion[..., 1].min(), z])
