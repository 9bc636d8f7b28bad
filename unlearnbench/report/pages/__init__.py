"""Pages: what a report says in words, as HTML and Markdown."""
