"""The `http` connector: requests to any HTTP API, with the ids and parameters of SpiffArena's `connector-http`."""
