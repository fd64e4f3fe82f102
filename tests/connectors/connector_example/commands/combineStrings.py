from ..sharing import greet
from connector_example.sharing import greet as same


class CombineStrings:
    """What SpiffArena's own example does, in the shape of its time."""

    def __init__(self, arg1: str, arg2: str):
        assert greet is same
        self.arg1 = arg1
        self.arg2 = arg2

    def execute(self, config, task_data):
        return {"response": self.arg1 + self.arg2, "status": "200", "mimetype": "text/plain"}
