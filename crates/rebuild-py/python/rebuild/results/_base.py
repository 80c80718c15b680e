"""What all results have in common."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


class Result:
    """A result: frozen, with a `to_dict` of plain values."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """The same as dicts, lists, strings and numbers, for JSON."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return {field.name: plain(getattr(self, field.name)) for field in fields}


def plain(value: Any) -> Any:
    """`value` in the types that JSON knows."""
    if isinstance(value, Result):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {str(key): plain(of) for key, of in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(of) for of in value]
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    return str(value)


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table for notebooks. Everything in it is text, whatever a database calls its objects."""

    def row(tag: str, cells: Sequence[object]) -> str:
        return "<tr>" + "".join(f"<{tag}>{_cell(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(row("td", cells) for cells in rows)
    return (
        f"<table><caption>{html.escape(caption)}</caption>"
        f"<thead>{row('th', head)}</thead><tbody>{body}</tbody></table>"
    )


def lines(caption: str, items: Sequence[str]) -> str:
    """A list for notebooks; nothing, if it is empty."""
    if not items:
        return ""
    listed = "".join(f"<li>{html.escape(item)}</li>" for item in items)
    return f"<p>{html.escape(caption)}</p><ul>{listed}</ul>"


def _cell(value: object) -> str:
    return "" if value is None else html.escape(str(value))


def size(count: int) -> str:
    """Bytes for people."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"
