"""From what is stored to findings: every model measured, every method judged. No torch."""
