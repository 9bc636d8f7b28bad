"""From a benchmark file to the graph of models to make."""
