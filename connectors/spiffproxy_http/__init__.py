"""The HTTP client that connectors build on: no connector, so no installed package of a connector replaces it."""
