"""One command a file: its parameters, and the method that it sends."""
