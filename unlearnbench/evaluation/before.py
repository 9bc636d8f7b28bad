"""Findings that earlier versions have written, in the form of this one."""

import json
from typing import Any

from unlearnbench import registry
from unlearnbench.planning.reading import validate
from unlearnbench.planning.rows import titles


def as_now(text: str) -> dict[str, Any]:
    """Read findings, of 0.1.0 too, under the names that they have now."""
    content: dict[str, Any] = json.loads(text)
    if "headline" not in content["benchmark"]:  # from before rmia-paper was as in AMUN's code
        content = json.loads(text.replace("rmia-paper", "rmia-clamped"))
    content["stale"] = {
        label: counts if isinstance(counts, dict) else {"the method": counts}
        for label, counts in content.get("stale", {}).items()
    }
    if "titles" not in content:  # from before rows had any: those that their methods have now
        content["titles"] = titles(validate(content["benchmark"]), registry.find("methods"))
    return content
