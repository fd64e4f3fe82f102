"""What connectors of SpiffArena's ecosystem import; where the package itself is installed, it goes before this one."""
