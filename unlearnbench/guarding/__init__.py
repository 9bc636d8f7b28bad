"""What others wrote, kept from touching anything but its own run."""

LOADED = "unlearnbench_plugin_"
"""What the names of plugins' modules begin with."""
