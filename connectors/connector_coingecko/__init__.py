"""The `coingecko` connector: prices of coins, of now and of a day, with the ids and parameters that diagrams use."""
