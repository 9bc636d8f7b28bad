"""Whatever tries to find what was to be forgotten: attacks on stored signals. No torch."""
