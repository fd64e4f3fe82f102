"""The `smtp` connector: mail through any SMTP server."""
