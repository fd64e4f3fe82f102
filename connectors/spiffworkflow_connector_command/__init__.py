"""What existing connectors of SpiffArena import. If the original package is installed, it is used instead."""
