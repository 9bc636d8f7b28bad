"""Figures as files: SVG for a page, where methods can be hidden, and PDF and PNG for print."""

import re
from collections.abc import Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib.style
from joblib import Parallel, cpu_count, delayed
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from unlearnbench.files import file_in, write, write_text
from unlearnbench.reporting import escape
from unlearnbench.reporting.figures.drawing import AND, METHOD, STYLE, Tips
from unlearnbench.reporting.figures.figure import Drawing

LINK = "{http://www.w3.org/1999/xlink}href"
FONT = "DejaVu Sans, Liberation Sans, Arial, sans-serif"
UNDATED = dict.fromkeys(("Date", "Creator", "Format", "Type"))
"""Metadata that would make the bytes others each time."""
DPI = 300
PROCESSES, FEW = 4, 20
"""That draw for print at the most, and figures for which none is begun."""
INHERITED = ("font-family:", "stroke-linejoin:")
"""Styles that the whole has, so that no part needs them."""
LONG = re.compile(r"-?\d+\.\d{3,}")


def page_svg(drawing: Drawing) -> str:
    """Return a figure as SVG to stand in a page, the same bytes each time.

    A group a method has its label as data-method; ink is `currentColor`; ids begin with the name
    of the figure, so that no two on a page are the same.
    """
    content, canvas = BytesIO(), drawing.canvas
    canvas.patch.set_visible(False)
    with matplotlib.style.context(["default", STYLE]):
        printer: Any = FigureCanvasSVG(canvas)
        printer.print_svg(content, metadata=UNDATED)
    canvas.patch.set_visible(True)
    root = ElementTree.fromstring(content.getvalue())
    root.remove(root[0])  # a style, which would be one of the whole page
    used = set(re.findall(r'(?:url\(|xlink:href=")#([^)"]+)', content.getvalue().decode()))
    for element in root.iter():
        _tidy(element, used, f"{drawing.name}-")
    words = f"{drawing.figure.title}. {drawing.figure.caption}"
    root.attrib |= {"aria-label": words, "role": "img", "font-family": FONT}
    root.attrib |= {"fill": "currentColor", "stroke-linejoin": "round"}
    ElementTree.register_namespace("", "http://www.w3.org/2000/svg")
    return re.sub(r">\s+<", "><", ElementTree.tostring(root, encoding="unicode"))


def _tidy(element: ElementTree.Element, used: set[str], prefix: str) -> None:
    name = element.attrib.pop("id", "")
    if name.startswith(METHOD):
        owners = name.removeprefix(METHOD).split(AND)
        parts = [element] if len(owners) == 1 else list(element)
        for part, owner in zip(parts, owners, strict=True):
            part.set("data-method", owner)
    elif name in used:
        element.set("id", prefix + name)
    if LINK in element.attrib:
        link = element.attrib.pop(LINK)  # to a part of it, or the bar of colours as an image
        element.set("href", f"#{prefix}{link[1:]}" if link.startswith("#") else link)
    if "clip-path" in element.attrib:
        element.set("clip-path", element.attrib["clip-path"].replace("(#", f"(#{prefix}"))
    if style := element.attrib.pop("style", ""):
        kept = [part for part in style.split("; ") if not part.startswith(INHERITED)]
        style = "; ".join(kept).replace("#000000", "currentColor").replace("(#", f"(#{prefix}")
        element.set("style", style)
    for name in {"x", "y", "transform", "style"} & element.attrib.keys():
        element.set(name, LONG.sub(lambda number: _rounded(number[0], 2), element.attrib[name]))
    if "d" in element.attrib:
        element.set("d", _short(element.attrib["d"], 2 if "id" in element.attrib else 1))


def _short(path: str, digits: int) -> str:
    """Write a path with fewer digits, and its horizontal and vertical lines by one number."""
    parts, last = [], ["", ""]
    for command, *numbers in (part.split() for part in re.findall(r"[A-Za-z][^A-Za-z]*", path)):
        at = [_rounded(number, digits) for number in numbers]
        if command == "L" and at != last and (at[0] == last[0] or at[1] == last[1]):
            parts.append(f"V{at[1]}" if at[0] == last[0] else f"H{at[0]}")
        elif command != "L" or at != last:
            parts.append(command + " ".join(at))
        last = at[-2:] or last
    return "".join(parts)


def _rounded(number: str, digits: int) -> str:
    return f"{round(float(number), digits):.15g}"


def tips(drawing: Drawing) -> list[dict[str, Any]]:
    """Return what hovering says: a method, its title, and a list of x, y (in the SVG) and text."""
    canvas, every = drawing.canvas, []
    for found in canvas.findobj(Tips):
        at = found.get_transform().transform(found.points) * 72 / canvas.dpi
        at[:, 1] = 72 * canvas.get_figheight() - at[:, 1]
        points = [[*place, text] for place, text in zip(at.round(1), found.texts, strict=True)]
        title = drawing.subject.title(found.method)
        every.append({"method": found.method, "title": title, "points": points})
    return every


def write_data(drawings: Sequence[Drawing], folder: Path) -> None:
    """Write what figures show as CSV."""
    for drawing in drawings:
        words = drawing.known.select_dtypes(exclude="number")
        plain = drawing.known.copy()
        plain[words.columns] = words.map(lambda cell: escape.csv(str(cell)))
        write_text(file_in(folder, f"{drawing.name}.csv"), plain.to_csv(index=False))


def write_print(drawings: Sequence[Drawing], folder: Path) -> None:
    """Write figures as PDF (fonts embedded) and PNG (300 dpi); many of them beside each other.

    That is in processes: Matplotlib is not made for threads. These may have begun in another
    folder, and what they are handed costs nearly as much as drawing it, so few are drawn here.
    """
    folder = folder.resolve()
    jobs = [delayed(_print)(drawing.canvas, file_in(folder, drawing.name)) for drawing in drawings]
    many = min(PROCESSES, cpu_count()) if len(jobs) > FEW else 1
    Parallel(n_jobs=many)(jobs)


def _print(canvas: Figure, path: Path) -> None:
    # The backends are called themselves: `savefig` draws twice, to find places that are known.
    pdf, png = (path.with_name(f"{path.name}.{kind}") for kind in ("pdf", "png"))
    with matplotlib.style.context(["default", STYLE]):
        write(pdf, partial(FigureCanvasPdf(canvas).print_pdf, metadata={"CreationDate": None}))
        canvas.dpi = DPI
        write(png, FigureCanvasAgg(canvas).print_png)
