"""Metrics: pure functions of stored signals. Arrays in, numbers out; no model and no torch."""
