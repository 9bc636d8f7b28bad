"""Builds the guide: fills its pages, publishes results, and makes one site of all."""
