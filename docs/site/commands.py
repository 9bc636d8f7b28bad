"""The command line as a page, by Typer's own writer of such pages."""

from __future__ import annotations

import html
import re
import subprocess
import sys

from docs.site.receipts import DOCS

MODULE, NAME = "unlearnbench.cli.app", "unlearnbench"


def reference() -> str:
    """Describe every command: usage, arguments, options with their defaults."""
    words = [sys.executable, "-m", "typer", MODULE, "utils", "docs", "--name", NAME]
    done = subprocess.run(words, cwd=DOCS.parent, capture_output=True, text=True, check=True)
    # Its text is escaped for HTML, but code is escaped once more when the page is made.
    text = html.unescape(done.stdout)
    text = re.sub(r"```console\n\$ (.*?)\n```", r"```text\n\1\n```", text)
    text = re.sub(r"^\* `--help`: .*\n", "", text, flags=re.M)
    text = re.sub(r"\*\*Options\*\*:\n+(?=#|\Z)", "", text)
    return text[text.index("## ") :].strip()
