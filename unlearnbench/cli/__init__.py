"""What can be typed and what is printed: a file a command, its arguments beside what it does."""
