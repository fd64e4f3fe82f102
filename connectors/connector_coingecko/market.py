"""What the commands share: a question to CoinGecko, and its answer as SpiffArena takes it."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from connector_http.commands.get_request_v2 import GetRequestV2
from spiffworkflow_connector_command.command_interface import ConnectorCommand

from connector_coingecko.errors import ERRORS, CoinGeckoError
from connector_coingecko.parameters import check_key
from connector_coingecko.refusals import read_refusal

if TYPE_CHECKING:
    from spiffworkflow_connector_command.command_interface import CommandErrorDict, ConnectorProxyResponseDict

_URL = "https://api.coingecko.com/api/v3"


class MarketCommand(ConnectorCommand):
    """A version 2 command. Commands are dataclasses that take a key, which CoinGecko does not insist on."""

    api_key: str | None
    errors = ERRORS

    @abstractmethod
    def make_question(self) -> tuple[str, dict[str, str]]:
        """Return the path and the query of what is asked; raise `CoinGeckoError`."""

    @abstractmethod
    def check_answer(self, answer: Any) -> None:
        """Raise `CoinGeckoError` where the answer is none, or has not what was asked for."""

    def execute(self, config: Any, task_data: Any) -> ConnectorProxyResponseDict:
        """Return what CoinGecko answered, its numbers as they came, or an error with its code."""
        logs: list[str] = []
        error: CommandErrorDict | None = None
        try:
            body, status = self._ask(config, logs), 200
            self.check_answer(body)
        except CoinGeckoError as failure:
            body, status = {}, failure.status
            error = {"error_code": failure.error_code, "message": str(failure)}
        return {
            "command_response": {"body": body, "mimetype": "application/json", "http_status": status},
            "command_response_version": 2,
            "error": error,
            "spiff__logs": logs,
        }

    def _ask(self, config: Any, logs: list[str]) -> Any:
        url = str(config.get("CONNECTOR_PROXY_COINGECKO_URL") or _URL).rstrip("/")
        path, params = self.make_question()
        headers = {"Accept": "application/json"}
        key = check_key(self.api_key)
        if key:  # nothing in a key says of which kind it is, but each has a host of its own
            headers["x-cg-pro-api-key" if "pro-api" in url else "x-cg-demo-api-key"] = key
        request = GetRequestV2(f"{url}/{path}", headers=headers, params=params, include_response_headers=True)
        result = request.execute(config, {})
        logs += result["spiff__logs"] or []
        if result["error"]:
            raise read_refusal(result["command_response"], result["error"])
        return result["command_response"]["body"]
