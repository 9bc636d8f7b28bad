"""Equations of methods, which are written in LaTeX, as text that a terminal can show."""

from __future__ import annotations

import inspect
import re
import unicodedata

SYMBOLS = {
    "alpha": "α",
    "beta": "β",
    "gamma": "γ",
    "delta": "δ",
    "epsilon": "ε",
    "varepsilon": "ε",
    "eta": "η",
    "lambda": "λ",
    "mu": "μ",
    "sigma": "σ",
    "tau": "τ",
    "phi": "φ",
    "theta": "θ",
    "Delta": "Δ",
    "Theta": "Θ",
    "ell": "ℓ",
    "nabla": "∇",
    "partial": "∂",
    "sum": "Σ",
    "prod": "Π",
    "cup": "∪",
    "cap": "∩",
    "setminus": "∖",
    "in": "∈",
    "notin": "∉",
    "subset": "⊂",
    "ne": "≠",
    "neq": "≠",
    "le": "≤",
    "leq": "≤",
    "ge": "≥",
    "geq": "≥",
    "gg": "≫",
    "ll": "≪",
    "approx": "≈",
    "sim": "∼",
    "propto": "∝",
    "infty": "∞",
    "cdot": "·",
    "odot": "⊙",
    "times": "×",
    "pm": "±",
    "to": "→",
    "gets": "←",
    "leftarrow": "←",
    "rightarrow": "→",
    "mapsto": "↦",
    "mid": "|",
    "lVert": "‖",
    "rVert": "‖",
    "Vert": "‖",
    "lvert": "|",
    "rvert": "|",
    "langle": "⟨",
    "rangle": "⟩",
    "top": "ᵀ",
    "ldots": "…",
    "dots": "…",
    "quad": "\u2003",  # a wide space, until single ones are in order
    "qquad": "\u2003",
    "{": "\0(",  # set braces: kept apart from grouping braces until these are gone
    "}": "\0)",
    ",": " ",
    ";": " ",
    "!": "",
    " ": " ",
    "|": "‖",
}
ACCENTS = {"hat": "\u0302", "tilde": "\u0303", "bar": "\u0304"}
SUBSCRIPTS = dict(zip("0123456789o", "₀₁₂₃₄₅₆₇₈₉ₒ", strict=True))
WRAPPERS = ("mathrm", "mathbf", "mathcal", "mathbb", "operatorname", "text", "textrm")
GROUP = r"\{((?:[^{}\\]|\\.)*)\}"


def lines(equation: str) -> list[str]:
    """Split an equation into its lines, each a formula of its own."""
    return [line.strip() for line in inspect.cleandoc(equation).splitlines() if line.strip()]


def plain(equation: str) -> list[str]:
    """Write each line of an equation in Unicode.

    An index or exponent of several characters keeps parentheses. A command that is not known stays
    as its name.
    """
    return [_plain(line) for line in lines(equation)]


def _plain(text: str) -> str:
    text = re.sub(r"\\(?:left|right|bigl|bigr|big|limits|displaystyle)(?![a-zA-Z])", "", text)
    symbol = re.compile(r"\\([a-zA-Z]+|.)")
    known = {*ACCENTS, *WRAPPERS, "frac", "sqrt"}
    text = symbol.sub(lambda m: m[0] if m[1] in known else SYMBOLS.get(m[1], m[1]), text)
    before = ""
    while before != text:  # from the innermost group outwards
        before = text
        text = re.sub(rf"\\(?:{'|'.join(WRAPPERS)}){GROUP}", r"\1", text)
        text = re.sub(
            rf"\\({'|'.join(ACCENTS)})(?:{GROUP}|\s*(\w))",
            lambda m: (m[2] or m[3]) + ACCENTS[m[1]],
            text,
        )
        text = re.sub(rf"\\frac{GROUP}{GROUP}", lambda m: f"{_unit(m[1])} / {_unit(m[2])}", text)
        text = re.sub(rf"\\sqrt{GROUP}", lambda m: f"√{_unit(m[1])}", text)
        text = re.sub(rf"([_^]){GROUP}", lambda m: m[1] + _unit(m[2]), text)
    text = re.sub(r"[{}]", "", text).replace("\0(", "{").replace("\0)", "}")
    text = text.replace("^ᵀ", "ᵀ")
    text = re.sub(r"_([0-9o])(?!\w)", lambda m: SUBSCRIPTS[m[1]], text)
    text = re.sub(r" *\u2003 *", "    ", re.sub(r" +", " ", text)).strip()
    return unicodedata.normalize("NFC", text)


def _unit(text: str) -> str:
    """Put parentheses round what is more than one name or number."""
    return text if re.fullmatch(r"[\w.′'*]+[\u0300-\u036f]*", text) else f"({text})"
