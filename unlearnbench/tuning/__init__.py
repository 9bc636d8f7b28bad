"""Choose settings of a benchmark's methods, on seeds and test samples that are never reported."""
