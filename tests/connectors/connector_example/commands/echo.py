import time

from spiffworkflow_connector_command.command_interface import ConnectorCommand, ConnectorProxyResponseDict

print("printed by an import")


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


class Status:
    def __init__(self, status, body):
        self.status = status
        self.body = body

    def execute(self, config, task_data):
        return {"response": self.body, "status": self.status, "mimetype": "text/plain"}


class Inner:
    def __init__(self, status):
        self.status = status

    def execute(self, config, task_data):
        return {"command_response_version": 2, "command_response": {"http_status": self.status}}
