"""What fits into a terminal of any width: tables by some columns at a time, lines that go on below their text."""

import textwrap
from collections.abc import Iterator, Sequence

from rich.console import Console, ConsoleOptions
from rich.table import Column, Table

# To so few characters a name may be folded before columns move below.
FOLDED = 12


class Sliced:
    """A table; where it is too wide, some columns after the others, each time beside the first one."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        first, *others = self.table.columns
        _, right, _, left = self.table.padding
        # A space stands where a box would draw its line.
        between = left + right + 1
        slices: list[list[Column]] = []
        room = 0
        for column in others:
            width = between + _width(column, console)
            if not slices or width > room:
                slices.append([])
                room = options.max_width - _width(first, console)
            slices[-1].append(column)
            room -= width
        if len(slices) < 2:
            yield self.table
            return
        for index, columns in enumerate(slices):
            yield self._with([first, *columns], titled=index == 0)

    def _with(self, columns: Sequence[Column], titled: bool) -> Table:
        table = Table(
            *(column.copy() for column in columns),
            title=self.table.title if titled else None,
            title_justify=self.table.title_justify,
            box=self.table.box,
            show_edge=self.table.show_edge,
            pad_edge=self.table.pad_edge,
            padding=self.table.padding,
        )
        for cells in zip(*(column.cells for column in columns), strict=True):
            table.add_row(*cells)
        return table


def _width(column: Column, console: Console) -> int:
    """The least in which nothing of a column is cut."""
    sizes = [console.measure(cell) for cell in (column.header, *column.cells)]
    if column.no_wrap:
        return max(column.min_width or 0, *(size.maximum for size in sizes))
    least = max(size.minimum for size in sizes)
    return min(least, FOLDED) if column.overflow == "fold" else least


def hanging(text: str, indent: int, width: int) -> str:
    """Lines, each of which goes on ``indent`` characters from the left."""
    return "\n".join(
        textwrap.fill(line, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)
        for line in text.splitlines()
    )
