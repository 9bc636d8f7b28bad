"""How wide text is in print: in Times, in which NeurIPS, ICML and CVPR are set."""

WIDTHS = {
    0.20: "'|",
    0.28: " \N{NO-BREAK SPACE},./:;\\ijlt",
    0.34: "!()-I[]`frs",
    0.40: 'J"',
    0.45: "?acez",
    0.50: "#$*0123456789_bdghknopquvxy{}–",
    0.56: "EFLPSZ^~+<=>",
    0.61: "T",
    0.67: "BCR",
    0.73: "ADGHKNOQUVXYw",
    0.79: "&m",
    0.89: "M%@±≤≥≠−",
    0.95: "W",
    1.00: "→",
}
"""Ems of characters, from the metrics of ptmr8t, and of cmsy7 for the signs of mathematics."""
EMS = {character: ems for ems, characters in WIDTHS.items() for character in characters}
OTHER, RAISED = 0.75, dict.fromkeys("†‡ᵃᵇᶜᵈᵉᶠᵍ", 0.45)
"""Ems of a character that is not listed, and of raised ones."""
MINUS = 0.89


def ems(text: str) -> float:
    """Return how wide a line of text is, in ems of its size."""
    total = 0.0
    for at, character in enumerate(text):
        minus = character == "-" and text[at + 1 : at + 2].isdigit()
        total += MINUS if minus else RAISED.get(character) or EMS.get(character, OTHER)
    return total
