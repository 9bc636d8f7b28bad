"""Tables of findings, as cells and as Markdown, LaTeX and CSV."""
