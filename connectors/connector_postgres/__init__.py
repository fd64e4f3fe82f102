"""The `postgres` connector: rows and tables of a PostgreSQL database, through psycopg 3."""

requires = {"psycopg": "pip install 'spiffproxy[postgres]'"}
