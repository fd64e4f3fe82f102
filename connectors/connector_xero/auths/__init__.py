"""One authentication a file: the app that one signs in to."""
