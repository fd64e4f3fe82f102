"""The `postgres` connector: rows and tables of a PostgreSQL database, through psycopg 3."""

# a folder of its own also works where the system's Python refuses pip (PEP 668)
INSTALL = "python3 -m pip install --target FOLDER 'psycopg[binary]>=3.2', then start the proxy with --connectors FOLDER"
requires = {"psycopg": INSTALL}
