"""Make one model, and read its signals. Knows no terminal and no folder."""
