"""The subcommand `call`: execute a command and print its result, as SpiffArena would get it.

The command line imports this file for it, and `check --call` does.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterable, Iterator
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
    import_part,
    response_from_error,
)

if TYPE_CHECKING:
    from typing import TextIO


def print_call(proxy: Proxy, command_id: str, words: list[str], out: TextIO) -> int:
    """Execute a command with the parameters in `words`, print its result, and its status on stderr.

    Returns the exit status: 1 if SpiffArena would see an error. Raises `SettingError` if a word is not a parameter.
    """
    if "=" in command_id:
        name = command_id.partition("=")[0]
        raise SettingError(f"The first argument of call is CONNECTOR/COMMAND. Write the parameter {name} after it.")
    body = parse_parameters(words)
    try:
        response = call(proxy, command_id, body)
    except ProxyError as error:
        with suppress(ProxyError):  # there is no such part
            error = import_part("spiffproxy_author").explain_error(proxy, command_id, error)
        response = response_from_error(error)
    text = response.body.decode("utf-8", "replace")
    value = None
    with suppress(ValueError):  # a version 1 result may be anything
        value = json.loads(text)
        text = json.dumps(value, indent=2)
    inner = describe_error(value)
    print(f"HTTP status {response.status} {REASONS.get(response.status, '')}{inner}".rstrip(), file=sys.stderr)
    for line in advise_json(words, value):
        print(line, file=sys.stderr)
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


def advise_json(words: Iterable[str], value: Any) -> Iterator[str]:
    """Yield how to write JSON for each parameter that is given as text, if the error in a result is that it is one."""
    error = value.get("error") if isinstance(value, dict) else None
    message = str(error.get("message") if isinstance(error, dict) else error)
    for word in words:
        name, sign, text = split_parameter(word)
        if sign == "=" and re.search(
            rf"(?<![\w.]){re.escape(name)} must be .* is a string\. Remove the quotes", message
        ):
            written = shlex.quote(f"{name}:={text}") if text.startswith("@") else f"{name}:='…'"
            yield f"{name} was given as text: write {written} for JSON"


def split_parameter(word: str) -> tuple[str, str, str]:
    """Return the name of a parameter, `=` or `:=`, and the text after it. Raises `SettingError`."""
    match = re.fullmatch(r"([^=:]+)(:?=)(.*)", word, re.DOTALL)
    if not match:
        advice = "Write name=TEXT, or name:=JSON for any other value, without blanks around the =."
        raise SettingError(f"{word!r} is not a parameter. {advice}")
    return match[1], match[2], match[3]


def parse_parameters(words: Iterable[str]) -> dict[str, Any]:
    """Return the parameters that are written as `name=TEXT`, `name:=JSON`, or either with `@FILE` or `@-` for stdin.

    One line ending at the end of a file is removed. Raises `SettingError`.
    """
    parameters: dict[str, Any] = {}
    reads_stdin = False
    for word in words:
        name, sign, text = split_parameter(word)
        if name in parameters:
            raise SettingError(f"The parameter {name} is given twice.")
        is_json = sign == ":="
        path = ""
        if text.startswith("@") or (is_json and text == "-"):
            path = text.removeprefix("@")
            if path == "-" and reads_stdin:
                raise SettingError(f"{name}: stdin can be read for one parameter. Write the other one to a file.")
            reads_stdin = reads_stdin or path == "-"
            text = read_file(name, path)
        parameters[name] = parse_value(name, text, path) if is_json else text
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


def parse_value(name: str, text: str, path: str) -> Any:
    """Return the value of JSON, which is the content of a file if `path` is not empty, or of stdin if it is `-`."""
    if path == "-" and not text.strip():
        raise SettingError(f"{name}: stdin was empty. Write JSON to it.")
    try:
        return decode_json(text)
    except (ValueError, RecursionError) as error:
        place = "stdin" if path == "-" else repr(path) if path else f"The value of {name}"
        advice = f"For its text, write {name}=@{path}." if path else f"For a string, write {name}=TEXT."
        raise SettingError(f"{name + ': ' if path else ''}{place} is not valid JSON: {error}. {advice}") from None
