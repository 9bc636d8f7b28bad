"""What makes the guide: pages written by code, and one site of all pages."""
