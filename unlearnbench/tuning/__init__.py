"""Choose the settings of a benchmark's methods on seeds and samples that are never reported."""
