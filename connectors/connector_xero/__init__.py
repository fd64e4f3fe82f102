"""The `xero` connector: invoices and currencies of an organisation at Xero."""
