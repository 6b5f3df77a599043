"""HTML of the page: escaped text, tiles, tables, figures and the style sheet. Nothing here knows what a neuron is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

TIMES, DASH = "\N{MULTIPLICATION SIGN}", "\N{EN DASH}"

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""What a browser lets the page do: show its own pictures; fetch nothing, run nothing."""

STYLE = """
:root { color-scheme: light dark; --page: #f6f7f9; --card: #ffffff; --ink: #16202c; --soft: #566373; --line: #dde2e8;
  --good: #0a7d55; --care: #a85b00; --poor: #b42318; --mark: #0b63a5; }
@media (prefers-color-scheme: dark) { :root { --page: #11161d; --card: #1a212b; --ink: #e6ebf1; --soft: #9fadbd; --line: #2f3946;
  --good: #4cc38a; --care: #f0a742; --poor: #ff8a7a; --mark: #7cbcf5; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto,
  "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 0 0 4px; }
h3 { font-size: 1rem; margin: 18px 0 4px; }
p { margin: 6px 0 12px; max-width: 78ch; }
.soft, figcaption { color: var(--soft); font-size: .92rem; }
section, .verdict { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 18px 20px; margin: 18px 0; }
.verdict { border-left: 6px solid var(--tone); }
.good { --tone: var(--good); } .care { --tone: var(--care); } .poor { --tone: var(--poor); }
.grade { color: var(--tone); font-weight: 700; letter-spacing: .02em; margin: 0; }
.headline { font-size: 1.15rem; max-width: 70ch; margin: 4px 0 14px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 10px; margin: 0; }
.tile { border: 1px solid var(--line); border-radius: 8px; padding: 10px 12px; }
.tile dt { color: var(--soft); font-size: .86rem; }
.tile dd { margin: 0; font-size: 1.55rem; font-weight: 650; line-height: 1.25; font-variant-numeric: tabular-nums; }
.tile small { display: block; color: var(--soft); font-size: .8rem; font-weight: 400; line-height: 1.35; }
nav { margin: 12px 0 0; font-size: .92rem; display: flex; flex-wrap: wrap; gap: 4px 16px; }
a { color: var(--mark); }
.grid { display: grid; gap: 14px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 430px), 1fr)); align-items: start; }
.grid.kept { grid-template-columns: repeat(auto-fill, minmax(min(100%, 430px), 1fr)); }
.cards { display: grid; gap: 14px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 430px), 1fr)); }
.card { border: 1px solid var(--line); border-radius: 8px; padding: 10px 14px; min-width: 0; }
.card h3 { margin: 2px 0 4px; overflow-wrap: anywhere; }
.card p { margin: 4px 0 8px; font-size: .92rem; }
.card pre { margin: 0; padding: 8px 10px; font-size: .76rem; white-space: pre-wrap; }
pre .word { white-space: nowrap; }
figure { margin: 8px 0; min-width: 0; }
.frame { background: #fff; border-radius: 6px; overflow-x: auto; scrollbar-width: thin; }
.frame img { display: block; width: 100%; max-width: 100%; height: auto; }
ol, ul { margin: 4px 0 10px; padding-left: 22px; } li { margin: 3px 0; max-width: 80ch; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 4px 16px 4px 0; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
th { color: var(--soft); font-weight: 600; overflow-wrap: normal; }
.scroll { overflow-x: auto; }
.swatch { display: inline-block; width: .8em; height: .8em; border-radius: 50%; margin-right: .45em; border: 1px solid var(--line); }
pre { background: var(--page); border: 1px solid var(--line); border-radius: 6px; padding: 12px; overflow-x: auto; font-size: .84rem; }
summary { cursor: pointer; color: var(--mark); padding: 4px 0; }
@media (prefers-color-scheme: dark) { .frame img { filter: brightness(.9); } }
@media (max-width: 560px) { main { padding: 16px 10px 40px; } section, .verdict { padding: 14px 12px; } .tile dd { font-size: 1.3rem; }
  .frame.wide img { width: 580px; max-width: none; }
  .frame.wide::before { content: "swipe sideways for the rest \N{RIGHTWARDS ARROW}"; display: block; position: sticky; left: 0;
    width: max-content; padding: 2px 8px; font-size: .78rem; color: #566373; }
  .tiles { grid-template-columns: 1fr 1fr; } .tile:last-child:nth-child(odd) { grid-column: 1 / -1; } }
@media print { :root { --page: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #bbb; --good: #0a7d55; --care: #a85b00;
  --poor: #b42318; } body { font-size: 10.5pt; } main { max-width: none; padding: 0; } nav { display: none; }
  section { border: 0; padding: 0; } figure, .verdict, .card, .tile, tr { break-inside: avoid; }
  .frame img { filter: none; max-height: 22cm; object-fit: contain; object-position: left; }
  .cards { grid-template-columns: 1fr 1fr; } h2, h3 { break-after: avoid; }
  .grid, .grid.kept { grid-template-columns: 1fr 1fr; } section > .soft { break-after: avoid; }
  details::details-content { content-visibility: visible; display: block; } details > summary { list-style: none; }
  p, li, figcaption { break-inside: avoid; } p:has(+ figure), p:has(+ .grid), p:has(+ .cards) { break-after: avoid; }
  figcaption { break-before: avoid; }
  pre { white-space: pre-wrap; } .frame { overflow: visible; } .scroll { overflow: visible; } }
"""


@dataclass(frozen=True)
class Picture:
    """A figure of the page.

    Attributes:
        source: data: address of the image.
        alt: What it shows, for whoever cannot see it.
        caption: What to look for; may be empty.
        wide: Whether it spans the page, and scrolls sideways on a phone.
    """

    source: str
    alt: str
    caption: str = ""
    wide: bool = False


def document(title: str, body: Iterable[str]) -> str:
    """Returns the page. Title is text; body is HTML."""
    head = (
        f'<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(title)}</title>\n<style>{STYLE}</style>'
    )
    main = "\n".join(body)
    return f'<!doctype html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n<main>\n{main}\n</main>\n</body>\n</html>\n'


def section(name: str, title: str, intro: str, *content: str) -> str:
    """Returns a part of the page. Title and intro are text; content is HTML."""
    lead = f'<p class="soft">{escape(intro)}</p>' if intro else ""
    return f'<section id="{escape(name)}">\n<h2>{escape(title)}</h2>\n{lead}\n' + "\n".join(content) + "\n</section>"


def subtitle(text: str) -> str:
    """Returns a heading inside a part."""
    return f"<h3>{escape(text)}</h3>"


def paragraph(text: str) -> str:
    """Returns text."""
    return f"<p>{escape(text)}</p>"


def figure(picture: Picture) -> str:
    """Returns a figure with its caption."""
    wide = " wide" if picture.wide else ""
    caption = f"<figcaption>{escape(picture.caption)}</figcaption>" if picture.caption else ""
    image = f'<img src="{picture.source}" alt="{escape(picture.alt)}">'
    return f'<figure><div class="frame{wide}">{image}</div>{caption}</figure>'


def grid(pictures: Iterable[Picture], *, kept: bool = False) -> str:
    """Returns figures side by side where there is room; kept: a figure alone stays as small as beside another."""
    return f'<div class="grid{" kept" if kept else ""}">\n' + "\n".join(figure(picture) for picture in pictures) + "\n</div>"


def tiles(entries: Sequence[tuple[str, str, str]]) -> str:
    """Returns big numbers: name, number and remark each."""
    parts = [
        f'<div class="tile"><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(remark)}</small></dd></div>'
        for name, value, remark in entries
    ]
    return '<dl class="tiles">' + "".join(parts) + "</dl>"


def cards(entries: Iterable[str]) -> str:
    """Returns cards side by side where there is room."""
    return '<div class="cards">\n' + "\n".join(entries) + "\n</div>"


def card(title: str, *content: str) -> str:
    """Returns a frame around what belongs together. Title is text; content is HTML."""
    return f'<div class="card"><h3>{escape(title)}</h3>\n' + "\n".join(content) + "\n</div>"


def listing(texts: Sequence[str], *, numbered: bool = False) -> str:
    """Returns a list of texts."""
    tag = "ol" if numbered else "ul"
    return f"<{tag}>" + "".join(f"<li>{escape(text)}</li>" for text in texts) + f"</{tag}>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], swatches: Sequence[str | tuple[str, ...]] = ()) -> str:
    """Returns a table of texts; swatches: a colour, or several, in front of every row's first cell."""
    top = f"<thead><tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr></thead>" if head else ""
    lines = []
    for number, row in enumerate(rows):
        colours = swatches[number] if swatches else ()
        several = (colours,) if isinstance(colours, str) else colours
        dot = "".join(f'<span class="swatch" style="background:{escape(colour)}"></span>' for colour in several)
        cells = "".join(f"<td>{dot if place == 0 else ''}{escape(text)}</td>" for place, text in enumerate(row))
        lines.append(f"<tr>{cells}</tr>")
    return f'<div class="scroll"><table>{top}<tbody>{"".join(lines)}</tbody></table></div>'


def folded(title: str, *content: str) -> str:
    """Returns content that opens on a click."""
    return f"<details><summary>{escape(title)}</summary>\n" + "\n".join(content) + "\n</details>"


def code(text: str) -> str:
    """Returns text exactly as it is."""
    return f"<pre>{escape(text)}</pre>"


def commands(lines: Iterable[str]) -> str:
    """Returns what is to be typed; where a line has no room it breaks between words, never inside an option."""
    return (
        "<pre>" + "\n".join(" ".join(f'<span class="word">{escape(word)}</span>' for word in line.split(" ")) for line in lines) + "</pre>"
    )
