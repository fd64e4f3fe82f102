CITIES = [{"name": "Bath", "country": "GB"}, {"name": "Berlin", "country": "DE"}, {"name": "Bern", "country": "CH"}]


class FindCities:
    category = "cities"

    def __init__(self, prefix: str, limit: int):
        self.prefix = prefix
        self.limit = limit

    def execute(self, config, task_data):
        return [city for city in CITIES if city["name"].startswith(self.prefix)][: self.limit]


class Asked:
    """Finds what it was asked for."""

    def __init__(self, prefix: str, limit: int):
        self.prefix = prefix
        self.limit = limit

    def execute(self, config, task_data):
        print("printed by a typeahead")
        region = config.get("EXAMPLE_REGION", "")
        return [{"prefix": self.prefix, "limit": self.limit, "region": region, "task_data": task_data}]
