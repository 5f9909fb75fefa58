"""Data Docs that call nobody: Great Expectations' pages without the styles, scripts and pictures it fetches.

As written they ask nine servers whenever somebody opens them, show nothing legible where there is no net, and tell
those servers that a hospital's data was looked at. What they say is in their HTML.
"""

import re
import shutil
from html import escape
from pathlib import Path

CSS = Path(__file__).with_name("docs.css")
_SCRIPT = re.compile(r"<script\b.*?</script>", re.S | re.I)
_OUTSIDE = re.compile(r"<(?:link|img)\b[^>]*\b(?:href|src)=[\"'](?:https?:|[./]*static/)[^>]*>", re.I)
_PICTURE = re.compile(r"url\(['\"]?https?:[^)]*\)", re.I)
_ANCHOR = re.compile(r"<a\b[^>]*\bhref=[\"']https?:[^>]*>(.*?)</a>", re.S | re.I)


def make_offline(docs: Path, *, summary: list[tuple[str, int, int]]) -> None:
    """Rewrite the pages below a folder so that they refer to nothing outside it, with an index of our own.

    Args:
        docs: folder of the Data Docs.
        summary: of each suite its title, how many expectations were met, and how many there are.
    """
    style = f"<style>\n{CSS.read_text(encoding='utf-8')}</style>"
    pages = sorted(page for page in docs.rglob("*.html") if page != docs / "index.html")
    for page in pages:
        page.write_text(plain(page.read_text(encoding="utf-8"), style), encoding="utf-8")
    shutil.rmtree(docs / "static", ignore_errors=True)
    (docs / "index.html").write_text(_index(docs, pages, summary, style), encoding="utf-8")


def plain(html: str, style: str) -> str:
    """Return a page without what lies elsewhere, styled by `style`; links to other sites become their text."""
    html = _ANCHOR.sub(r"\1", _PICTURE.sub("none", _OUTSIDE.sub("", _SCRIPT.sub("", html))))
    head, end, rest = html.partition("</head>")
    return head + style + end + rest if end else style + html


def _index(docs: Path, pages: list[Path], summary: list[tuple[str, int, int]], style: str) -> str:
    rows = []
    for title, met, count in summary:
        links = [f'<a href="{escape(_address(docs, page))}">{kind}</a>' for kind in ("validations", "expectations")
                 for page in pages if kind in page.parts and title in (page.stem, *page.parts)]
        colour = "text-success" if met == count else "text-danger"
        rows.append(f'<tr><td>{escape(title)}</td><td class="{colour}">{met} of {count}</td>'
                    f"<td>{' · '.join(links)}</td></tr>")
    return ('<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Data Docs</title>' + style
            + '</head><body><h1>Data Docs</h1><table class="table table-bordered"><tr><th>What was checked</th>'
              "<th>Expectations met</th><th>Pages</th></tr>" + "".join(rows) + "</table></body></html>\n")


def _address(docs: Path, page: Path) -> str:
    from urllib.parse import quote

    return quote(str(page.relative_to(docs)))
