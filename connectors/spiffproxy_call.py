"""The subcommand `call`: execute a command and print its result, as SpiffArena would get it.

The command line imports this file for it, and `check --call` does.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spiffproxy import (
    REASONS,
    Proxy,
    ProxyError,
    Response,
    SettingError,
    decode_json,
    execute,
    response_from_error,
)

if TYPE_CHECKING:
    from typing import TextIO


def print_call(proxy: Proxy, command_id: str, words: list[str], out: TextIO) -> int:
    """Execute a command with the parameters in `words`, print its result, and its status on stderr.

    Returns the exit status: 1 if SpiffArena would see an error. Raises `SettingError` if a word is not a parameter.
    """
    body = parse_parameters(words)
    try:
        response = call(proxy, command_id, body)
    except ProxyError as error:
        response = response_from_error(error)
    text = response.body.decode("utf-8", "replace")
    value = None
    with suppress(ValueError):  # a version 1 result may be anything
        value = json.loads(text)
        text = json.dumps(value, indent=2)
    inner = describe_error(value)
    print(f"HTTP status {response.status} {REASONS.get(response.status, '')}{inner}".rstrip(), file=sys.stderr)
    print(text, file=out)
    return 1 if response.status >= 300 or inner else 0


def call(proxy: Proxy, command_id: str, body: dict[str, Any]) -> Response:
    """Execute a command; `body` is the request body that a service task would send. Raises `ProxyError`."""
    command = proxy.connectors.load_entry("commands", command_id)
    return execute(command, body, proxy.settings.config, proxy.slots)


def describe_error(value: Any) -> str:
    """Return the error that SpiffArena, or a person who looks at a version 1 result, would see in it, or ""."""
    if not isinstance(value, dict):
        return ""
    response, error = value.get("command_response"), value.get("error")
    status = response.get("http_status") if isinstance(response, dict) else None
    if error:
        code = error.get("error_code") if isinstance(error, dict) else "in the body"
        return f", error {code}" + (f", http_status {status}" if status else "")
    return f", http_status {status}" if isinstance(status, int) and status >= 300 else ""


def parse_parameters(words: Iterable[str]) -> dict[str, Any]:
    """Return the parameters that are written as `name=TEXT`, `name:=JSON`, or either with `@FILE` or `@-` for stdin.

    One line ending at the end of a file is removed. Raises `SettingError`.
    """
    parameters: dict[str, Any] = {}
    reads_stdin = False
    for word in words:
        match = re.fullmatch(r"([^=:]+)(:?=)(.*)", word, re.DOTALL)
        if not match:
            raise SettingError(f"{word!r} is not a parameter. Write name=TEXT, or name:=JSON for any other value.")
        name, sign, text = match.groups()
        if name in parameters:
            raise SettingError(f"The parameter {name} is given twice.")
        is_json = sign == ":="
        if text.startswith("@") or (is_json and text == "-"):
            path = text.removeprefix("@")
            if path == "-" and reads_stdin:
                raise SettingError(f"{name}: stdin can be read for one parameter. Write the other one to a file.")
            reads_stdin = reads_stdin or path == "-"
            text = read_file(name, path)
        parameters[name] = parse_value(name, text) if is_json else text
    return parameters


def read_file(name: str, path: str) -> str:
    """Return the content of a file, or of stdin if the path is `-`."""
    try:
        data = read_stdin() if path == "-" else Path(path).read_bytes()
        text = data.decode()
    except OSError as error:
        advice = f"""For a string that begins with @, write {name}:='"@..."'."""
        raise SettingError(f"{name}: {error}. {advice}") from None
    except UnicodeDecodeError:
        raise SettingError(f"{name}: {path!r} is not UTF-8. Encode its bytes as base64.") from None
    return text.removeprefix("\ufeff").removesuffix("\n").removesuffix("\r")


def read_stdin() -> bytes:
    if sys.stdin is None:  # Python was started without one
        raise OSError("stdin is closed")
    return sys.stdin.buffer.read()


def parse_value(name: str, text: str) -> Any:
    try:
        return decode_json(text)
    except (ValueError, RecursionError) as error:
        raise SettingError(
            f"The value of {name} is not valid JSON: {error}. For a string, write {name}=TEXT."
        ) from None
