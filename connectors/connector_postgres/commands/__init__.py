"""One command a file: its parameters."""
