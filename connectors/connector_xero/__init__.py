"""The `xero` connector: invoices and currencies of an organisation whose books are kept with Xero."""
