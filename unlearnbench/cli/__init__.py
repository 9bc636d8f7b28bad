"""What can be typed: commands, options and arguments. What they do is in commands/."""
