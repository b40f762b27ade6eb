"""Tables of plain values: aligned text in a shell, HTML in a notebook."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


class Table:
    """Rows to look at: `print` shows aligned text, a notebook an HTML table.

    rows: dicts of text and numbers; None leaves a cell empty. columns: which, and in which order;
    None = all. notes: lines below the table. limit: rows that a notebook shows of a longer one.
    records: what the rows were made from, plain values that JSON can hold; None = the rows.
    """

    def __init__(self, rows: Iterable[dict], columns: Sequence[str] | None = None,
                 notes: Iterable[str] = (), limit: int = 40, records: list | None = None):
        self.rows, self.notes, self.limit = list(rows), list(notes), limit
        self.records = self.rows if records is None else records
        self.columns = list(columns or dict.fromkeys(k for row in self.rows for k in row))

    def cells(self) -> list[list[str]]:
        """Return the head and the rows as text; floats have three decimals."""
        def text(value) -> str:
            return "" if value is None else f"{value:.3f}" if isinstance(value, float) else \
                str(value)
        return [self.columns, *([text(row.get(c)) for c in self.columns] for row in self.rows)]

    def __str__(self) -> str:
        cells = self.cells()
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
                 for row in cells]
        return "\n".join([lines[0], "  ".join("-" * w for w in widths), *lines[1:],
                          *(f"  {note}" for note in self.notes)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *rows = ["".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in row) for row, tag in
                       zip(self.cells(), ["th", *["td"] * len(self.rows)], strict=True)]
        body = "".join(f"<tr>{row}</tr>" for row in rows[:self.limit])
        more = [f"… and {len(rows) - self.limit} more"] if len(rows) > self.limit else []
        notes = "".join(f"<p>{html.escape(n)}</p>" for n in [*more, *self.notes])
        return f"<table><tr>{head}</tr>{body}</table>{notes}"
