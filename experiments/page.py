"""Reports as HTML: single files that open offline, with every picture inside."""

import base64
import html
from collections.abc import Sequence
from typing import Any

_MOST_LISTED = 50
_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1d2733; background: #fff; max-width: 62rem; margin: 2.5rem auto;
  padding: 0 1.2rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
p.lead { font-size: 1.05rem; color: #43505e; margin-top: 0; } p.note { color: #5d6b7a; font-size: .9rem; }
p.warning { border-left: 4px solid #d1662f; background: #fdf3ec; padding: .5rem .8rem; margin: .6rem 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .42rem .6rem; border-bottom: 1px solid #e3e8ee; text-align: right; }
th { font-size: .82rem; color: #5d6b7a; font-weight: 600; }
th.name, td.name { text-align: left; } tr.ours td { font-weight: 600; }
td.yes { color: #2f7d4b; font-weight: 600; } td.no { color: #b3471f; font-weight: 600; }
img { width: 100%; display: block; margin: .8rem 0; } img.small { width: auto; max-width: 100%; }
details { margin-top: 1.5rem; }
pre { font-size: .8rem; overflow-x: auto; background: #f5f7f9; padding: .8rem; }
"""


def page(title: str, sections: Sequence[str]) -> str:
    """Returns a whole HTML page; ``sections`` are its HTML, ``title`` is text."""
    titled = f"<title>{html.escape(title)}</title>"
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width">{titled}'
    body = "\n".join(sections)
    return f'<!doctype html>\n<html lang="en"><head>{head}<style>{_STYLE}</style></head>\n<body>{body}</body></html>\n'


def image(svg: str, alt: str, small: bool = False) -> str:
    """Returns the HTML of a picture that is SVG text, as wide as the page or, if ``small``, as it is."""
    return _image(svg.encode(), "svg+xml", alt, small)


def animation(gif: bytes, alt: str) -> str:
    """Returns the HTML of a GIF, in its own size."""
    return _image(gif, "gif", alt, small=True)


def _image(data: bytes, kind: str, alt: str, small: bool) -> str:
    encoded, style = base64.b64encode(data).decode(), ' class="small"' if small else ""
    return f'<img{style} alt="{html.escape(alt)}" src="data:image/{kind};base64,{encoded}">'


def paragraph(text: str, kind: str = "") -> str:
    """Returns the HTML of one paragraph of plain text; ``kind`` is lead, note, warning or nothing."""
    style = f' class="{kind}"' if kind else ""
    return f"<p{style}>{html.escape(text)}</p>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], num_names: int = 1, ours: int | None = None) -> str:
    """Returns the HTML of a table of plain text.

    Args:
        head: titles of the columns.
        rows: cells.
        num_names: so many columns from the left are words, the others numbers.
        ours: this row stands out; None for none.
    """
    lines = ["<table><thead>", _row(head, "th", num_names), "</thead><tbody>"]
    lines += [_row(row, "td", num_names, ' class="ours"' if i == ours else "") for i, row in enumerate(rows)]
    return "\n".join([*lines, "</tbody></table>"])


def _row(cells: Sequence[str], tag: str, num_names: int, style: str = "") -> str:
    styles = [' class="name"' if i < num_names else "" for i in range(len(cells))]
    inside = (f"<{tag}{one}>{html.escape(cell)}</{tag}>" for one, cell in zip(styles, cells, strict=True))
    return f"<tr{style}>{''.join(inside)}</tr>"


def details(title: str, content: Any) -> str:
    """Returns a JSON object as a list of ``a.b = value`` that opens on a click; long lists are cut short."""
    lines = "\n".join(_flat(content))
    return f"<details><summary>{html.escape(title)}</summary><pre>{html.escape(lines)}</pre></details>"


def _flat(content: Any, prefix: str = "") -> list[str]:
    if isinstance(content, dict):
        return [line for key, value in content.items() for line in _flat(value, f"{prefix}.{key}".lstrip("."))]
    if isinstance(content, list) and len(content) > _MOST_LISTED:
        shown = ", ".join(map(str, content[:_MOST_LISTED]))
        return [f"{prefix} = [{shown}, ... {len(content):,} in all]"]
    return [f"{prefix} = {content}"]
