"""Formulas of pages as MathML, which browsers draw by themselves."""

from __future__ import annotations

import re

from latex2mathml.converter import convert

FENCE = re.compile(r"^```math\n(.*?)\n```$", re.M | re.S)
INLINE = re.compile(r"(?<![\\$\w])\$(?!\s)([^$\n]+?)(?<!\s)\$(?![\w$])")


def with_mathml(text: str) -> str:
    """Replace ```math blocks and $...$ outside of code by MathML."""
    parts = re.split(r"(^```.*?^```$|`[^`\n]+`)", text, flags=re.M | re.S)
    return "".join(_block(part) if place % 2 else _inline(part) for place, part in enumerate(parts))


def _block(text: str) -> str:
    return FENCE.sub(
        lambda m: f'<div class="equation">{convert(m[1], display="block")}</div>', text
    )


def _inline(text: str) -> str:
    # A formula may run over the end of a line of the source.
    joined = re.sub(r"\$[^$]+\$", lambda m: m[0].replace("\n", " "), text)
    # In a span, or Markdown would take one at the start of a line for a block.
    return INLINE.sub(lambda m: f"<span>{convert(m[1])}</span>", joined)
