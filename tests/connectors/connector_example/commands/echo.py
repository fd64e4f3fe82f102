import time

from spiffworkflow_connector_command.command_interface import ConnectorCommand, ConnectorProxyResponseDict


class Echo(ConnectorCommand):
    def __init__(self, value=None, **others):
        self.value = value
        self.others = others

    def execute(self, config, task_data) -> ConnectorProxyResponseDict:
        print("printed by a command")
        return self._reply({"value": self.value, "others": self.others, "task_data": task_data})

    def execute_async(self, config, task_data, callback_url):
        return self._reply({"callback_url": callback_url})

    def _reply(self, body):
        return {
            "command_response": {"body": body, "mimetype": "application/json", "http_status": 200},
            "command_response_version": 2,
            "error": None,
            "spiff__logs": [],
        }


class Fail:
    def __init__(self, secret: str):
        self.secret = secret

    def execute(self, config, task_data):
        raise LookupError(f"not found: {self.secret}")


class Wait:
    def __init__(self, seconds: int = 1):
        self.seconds = seconds

    def execute(self, config, task_data):
        time.sleep(self.seconds)
        return {"response": {}, "status": 200, "mimetype": "application/json"}
