"""Tables on a terminal."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from vault._display import size_text
from vault._escaping import escape_hidden
from vault.cli.wording import tags_text, time_text, times
from vault.store.values import ObjectInfo

_GAP = 2  # between columns
_LEAST_TEXT = 16  # how much wider than its title a column of names or tags is, at the least


def shown(text: str) -> Text:
    """Text that cannot steer the terminal: what would is escaped, and markup is not read."""
    return Text(escape_hidden(text))


def show_objects(objects: Sequence[ObjectInfo | str], *, long: bool, with_unit: bool, header: bool) -> None:
    """One piece of a listing; all but the last columns have a width of their own, so that pieces line up.

    Where they do not fit the terminal, the lines are longer than it and go on in its next one: what rich leaves out to
    make them fit is names and tags.
    """
    table = Table(box=None, show_header=header, pad_edge=False, header_style="bold")
    if with_unit:
        table.add_column("unit", min_width=12, overflow="fold")
    table.add_column("id", justify="right", min_width=19, no_wrap=True)
    table.add_column("size", justify="right", min_width=9, no_wrap=True)
    table.add_column("updated", min_width=19, no_wrap=True)
    if long:
        table.add_column("written", min_width=19, no_wrap=True)
        table.add_column("expires", min_width=19, no_wrap=True)
        table.add_column("gen", justify="right", min_width=6, no_wrap=True)
        table.add_column("datatype", min_width=8, overflow="fold")
    table.add_column("name", min_width=4, overflow="fold", style="cyan")
    if long:
        table.add_column("tags", min_width=4, overflow="fold")
    for info in objects:
        if isinstance(info, str):
            table.add_row(*[""] * (7 if long else 3), shown(info))
            continue
        moments = times(info) if long else (info.updated_at,)
        times_shown = ["" if each is None else time_text(each) for each in moments]
        cells = [str(info.data_id), size_text(info.size), *times_shown]
        if long:
            cells += [str(info.generation), info.datatype]
        cells.append(info.name or "")
        if long:
            cells.append(tags_text(info))
        table.add_row(*map(shown, [info.unit, *cells] if with_unit else cells))
    console = Console()
    least = sum((column.min_width or 0) + _GAP for column in table.columns) + (_LEAST_TEXT * (2 if long else 1))
    console.width = max(console.width, least)
    console.print(table, crop=False)


def show_rows(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Any table; None is an empty cell."""
    table = Table(*(Column(title, overflow="fold") for title in header), box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(shown("" if cell is None else str(cell)) for cell in row))
    Console().print(table)


def show_fields(fields: Mapping[str, object]) -> None:
    """One object's fields, one under the other."""
    table = Table(
        Column(style="bold", no_wrap=True), Column(overflow="fold"), box=None, show_header=False, pad_edge=False
    )
    for field, value in fields.items():
        table.add_row(field, shown(str(value)))
    Console().print(table)
