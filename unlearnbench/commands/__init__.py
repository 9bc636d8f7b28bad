"""What each command does, and what it shows in the terminal."""
