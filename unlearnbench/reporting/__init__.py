"""From findings to pages, tables and figures. No torch."""
