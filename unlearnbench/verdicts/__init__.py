"""What differences to retraining amount to: inference, comparisons, flags. No torch."""
