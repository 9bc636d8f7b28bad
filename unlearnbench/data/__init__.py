"""Images and labels: where they come from, which of them a benchmark uses, which are forgotten."""

from unlearnbench.data.prepare import Images, Labels, Pool, Source

__all__ = ["Images", "Labels", "Pool", "Source"]
