"""The library: all that can be done, without printing. The command line is this and a terminal."""
