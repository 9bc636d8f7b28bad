"""Figures of findings, in Vega-Lite, and how they are drawn."""
