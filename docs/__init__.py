"""What the project publishes, and what makes pages of it."""
