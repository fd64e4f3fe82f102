"""The subcommands of the command line: `list` is here; `call`, `check`, `new` and `pack` have files of their own.

The command line imports this file for every subcommand except `serve`.
"""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import spiffproxy
from spiffproxy import (
    KINDS,
    LIST_SECONDS,
    OPTIONS,
    Entry,
    Proxy,
    ProxyError,
    SettingError,
    import_part,
    list_available,
    setting_of,
    start_log,
    suggest_name,
    summarize_entry,
)

if TYPE_CHECKING:
    import argparse
    from typing import TextIO

HELP = """\
usage: spiffproxy [SUBCOMMAND] [ARGUMENT ...] [OPTION ...]

A connector proxy for SpiffArena. Its subcommands, each with an example:

  serve   serve the connectors over HTTP; this is the default
            python3 spiffproxy.py --port 8080 --connectors my
  list    list commands and authentications, and what is missing or broken
            python3 spiffproxy.py list http
  call    execute a command here and print its result; with --help, describe the command
            python3 spiffproxy.py call http/GetRequestV2 url=https://a.example 'headers:={"Accept": "text/html"}'
            python3 spiffproxy.py call --help http/GetRequestV2
          A parameter is name=TEXT or name:=JSON; name=@FILE and name:=@FILE read a file, name=@- and name:=- stdin.
  check   find what is wrong with a connector
            python3 spiffproxy.py check greetings --connectors my
  new     write a connector with a command and a test
            python3 spiffproxy.py new greetings/Greet --connectors my
  pack    pack the proxy and its connectors into one file: .pyz, or .zip for AWS Lambda
            python3 spiffproxy.py pack dist/spiffproxy.pyz

Options, which override the environment (CONNECTOR_PROXY_HOST and so on):

  --connectors FOLDER   a folder of connectors; may be given several times
  --config FILE         a Python file; commands see its upper-case names
  --host ADDRESS        serve: the address to listen on, 127.0.0.1 unless set
  --port NUMBER         serve: the port, 7004 unless set; 0 lets the system choose
  --threads NUMBER      serve: the maximum number of commands that run at once, 64 unless set
  --certfile FILE       serve: the certificate chain for HTTPS, in PEM format
  --keyfile FILE        serve: the key of the certificate, if it is in another file
  --log-format FORMAT   serve: text, or json for one object a line; text unless set
  --verbose             list: with descriptions, schemas and errors
  --json                list: as JSON, as GET /v1/status returns it, with the faults that check finds
  --call WORD ...       check: also call a command: --call CONNECTOR/COMMAND name=TEXT
  --help, --version
"""
MIN_WIDTH = 40  # of lines; a narrower terminal breaks them itself
# the options that only one subcommand has
OWNERS = dict.fromkeys(OPTIONS[2:], "serve") | {"--verbose": "list", "--json": "list", "--call": "check"}
# the arguments of the subcommands, and the least and the greatest number of them
SUBCOMMANDS = {
    "serve": ("", 0, 0),
    "list": ("[CONNECTOR]", 0, 1),
    "call": ("CONNECTOR/COMMAND [PARAMETER ...]", 1, 1000),
    "check": ("[CONNECTOR]", 0, 1),
    "new": ("CONNECTOR/COMMAND", 1, 1),
    "pack": ("TARGET", 1, 1),
}


def run_subcommand(arguments: argparse.Namespace, environ: Mapping[str, str], out: TextIO) -> int:
    """Run a subcommand, print its output to `out`, and return the exit status.

    Raises `SettingError` for a wrong argument, or `ProxyError`.
    """
    words = arguments.words
    if arguments.call:  # its parameters may stand after another option, and other words after its parameters
        words = [word for word in arguments.words + arguments.call[1:] if "=" not in word]
        arguments.call[1:] = [word for word in arguments.call[1:] + arguments.words if "=" in word]
    subcommand, *words = words or ["serve"]
    if arguments.help and not (subcommand == "call" and words):
        print(HELP, end="", file=out)
        return 0
    check_arguments(arguments, subcommand, words)
    if subcommand == "new":  # it creates the folder of --connectors
        return import_part("spiffproxy_new").print_new(words[0], environ.get("CONNECTOR_PROXY_CONNECTORS"), out)
    proxy = Proxy(environ)
    start_log(proxy.settings.log_format)
    spiffproxy.logger.disabled = subcommand in ("list", "check")  # they print what is wrong themselves
    if subcommand == "pack":
        return import_part("spiffproxy_pack").print_pack(proxy, words[0], out)
    name = read_connector_name(words[0]) if words else ""
    entry_id = read_entry_id(proxy, words[0]) if words and subcommand != "call" else ""
    if subcommand == "check":
        return import_part("spiffproxy_author").print_check(proxy, name, arguments.call, out)
    if subcommand == "list":
        return print_list(proxy, name, entry_id, arguments, out)
    if arguments.help:
        try:
            _, entry = proxy.connectors.find_entry("commands", words[0])
        except ProxyError as error:
            raise import_part("spiffproxy_author").explain_error(proxy, words[0], error) from None
        print(*explain_entry(entry), sep="\n", file=out)
        return 0
    return import_part("spiffproxy_call").print_call(proxy, words[0], words[1:], out)


def read_connector_name(word: str) -> str:
    """Return the name of a connector from its name, its package or folder, or the id of one of its commands."""
    parts = word.split("/")
    packages = [part for part in parts if part.startswith("connector_")]
    return packages[0][len("connector_") :] if packages else parts[0]


def read_entry_id(proxy: Proxy, word: str) -> str:
    """Return a word that is the id of a command, or of another entry, and "" for a word that names a connector.

    Raises `ProxyError` if the connector has no such command, but others.
    """
    connector_name, _, name = word.partition("/")
    connector = next((one for one in proxy.connectors if one.name == connector_name), None)
    if not name or connector is None or not connector.wait_for_import(LIST_SECONDS):
        return ""
    names = [known for entries in connector.entries.values() for known in entries]
    if name in names:
        return word
    if not names or connector.failures:  # which the whole list or check says
        return ""
    available = list_available(connector.entries["commands"]) + suggest_name(name, names)
    message = f"The connector {connector_name!r} has no command {name!r}; {available}"
    raise ProxyError(404, "command_not_found", message)


def check_arguments(arguments: argparse.Namespace, subcommand: str, words: list[str]) -> None:
    """Raise SettingError if the subcommand is unknown, or does not accept these options or this number of arguments."""
    if subcommand not in SUBCOMMANDS:
        advice = suggest_name(subcommand, SUBCOMMANDS)
        if subcommand in ("help", "version"):
            advice = f"; write --{subcommand}"
        elif "/" in subcommand:
            advice = f"; write: python3 spiffproxy.py call {subcommand} [PARAMETER ...]"
        raise SettingError(f"{subcommand!r} is not a subcommand; {list_available(SUBCOMMANDS)}{advice}")
    for flag, owner in OWNERS.items():
        name = setting_of(flag) if flag in OPTIONS else flag[2:]
        if owner != subcommand and getattr(arguments, name):
            raise SettingError(f"{flag} is an option of {owner}, not of {subcommand}")
    usage, least, most = SUBCOMMANDS[subcommand]
    if not least <= len(words) <= most:
        usage = f"{subcommand} {usage}".strip()
        raise SettingError(f"{subcommand} is given {len(words)} arguments; write: python3 spiffproxy.py {usage}")


# --- list ---------------------------------------------------------------------------------------------------------


def print_list(proxy: Proxy, name: str, entry_id: str, arguments: argparse.Namespace, out: TextIO) -> int:
    """Print what one or all connectors offer, and what is wrong with them; return 1 if anything is broken.

    If `entry_id` is not empty, only this one of the connector's entries is printed.
    """
    if arguments.verbose:
        import_part("spiffproxy_describe")  # if it is missing, nothing else is printed
    state = import_part("spiffproxy_status").describe_state(proxy)
    names = [connector["name"] for connector in state["connectors"]]
    if name and name not in names:
        raise ProxyError(404, "not_found", import_part("spiffproxy_author").describe_unknown(proxy, name))
    connectors = [connector for connector in state["connectors"] if name in ("", connector["name"])]
    upstreams = [] if name else state["upstreams"]
    faults: list[str] = []
    with suppress(ProxyError):  # there is no such part
        faults += import_part("spiffproxy_author").find_faults(proxy, name, with_failures=False)
    is_ok = all(one["ok"] for one in [*connectors, *upstreams]) and not faults
    if arguments.json:
        state = {**state, "ok": is_ok, "connectors": connectors, "upstreams": upstreams}
        print(json.dumps({**state, "faults": faults} if faults else state, indent=2), file=out)
        return 0 if is_ok else 1
    entries: dict[str, list[Entry]] = {kind: [] for kind in KINDS}
    for connector in proxy.connectors:
        if name in ("", connector.name) and not connector.import_timed_out:
            for kind in KINDS:
                entries[kind] += [one for one in connector.entries[kind].values() if entry_id in ("", one.id)]
    failures = [text for connector in connectors for text in describe_failures(connector)]
    explain = explain_entries if arguments.verbose else summarize_entries
    sections = {
        "Commands (* required)": explain(entries["commands"]),
        "Authentications": explain(entries["auths"]),
        "Upstreams": [f"  {describe_upstream(upstream)}" for upstream in upstreams],
        "Missing": [f"  {text}" for connector in connectors for text in connector["missing"]],
        "Broken": [f"  {text}" for text in [*failures, *faults]],
    }
    width = max(shutil.get_terminal_size().columns, MIN_WIDTH) if out.isatty() else sys.maxsize
    for title, lines in sections.items():
        if lines:
            print(title, *(fit(line, width) for line in lines), "", sep="\n", file=out)
    return 0 if is_ok else 1


def describe_upstream(upstream: dict[str, Any]) -> str:
    return f"{upstream['url']}: {upstream['error'] or 'ok'}; commands: {len(upstream['commands'])}"


def describe_failures(connector: dict[str, Any]) -> list[str]:
    failures = [f"{module}: {reason}" for module, reason in connector["failures"].items()]
    if connector["importing"]:
        failures.append(f"connector_{connector['name']}: still being imported")
    return [" ".join(failure.split()) for failure in failures]


def fit(line: str, width: int) -> str:
    """Wrap a line to the width of the terminal, and indent its continuation lines."""
    if len(line) < width:
        return line
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return textwrap.fill(line, width - 1, subsequent_indent=indent, break_on_hyphens=False)


def summarize_entries(entries: list[Entry]) -> list[str]:
    return [f"  {summarize_entry(entry)}" for entry in entries]


def explain_entries(entries: list[Entry]) -> list[str]:
    """Return lines that describe entries in full. Errors that all entries of a connector share follow them once."""
    connectors: dict[str, list[Entry]] = {}
    for entry in entries:
        connectors.setdefault(entry.id.partition("/")[0], []).append(entry)
    lines = []
    for name, group in connectors.items():
        shared = find_shared_errors([describe_entry(entry).get("errors", {}) for entry in group])
        for entry in group:
            summary, *details = explain_entry(entry, shared)
            lines += [f"  {summary}", *details]
        if shared:
            lines += [f"  {name}: errors that its commands share", *(f"  {line}" for line in explain_errors(shared))]
    return lines


def find_shared_errors(declared: list[dict[str, str]]) -> dict[str, str]:
    """Return the errors that are the same in every command that declares errors."""
    first, *others = [errors for errors in declared if errors] or [{}]
    if not others:
        return {}
    return {code: text for code, text in first.items() if all(errors.get(code) == text for errors in others)}


def explain_entry(entry: Entry, shared_errors: Collection[str] = ()) -> list[str]:
    """Return lines that describe an entry in full, without the errors in `shared_errors`."""
    described = describe_entry(entry)
    lines = described.get("description", "").splitlines()
    lines += ["deprecated"] * ("deprecated" in described) + ["parameters"] * bool(described["parameters"])
    for parameter in described["parameters"]:
        lines.append(f"    {parameter['id']}: {parameter.get('description', '')}".rstrip(": "))
        for name in ("default", "schema", "secret"):
            if name in parameter:
                lines.append(f"        {name}: {json.dumps(parameter[name])}")
    errors = {code: text for code, text in described.get("errors", {}).items() if code not in shared_errors}
    if errors:
        lines += ["errors", *explain_errors(errors)]
    return [summarize_entry(entry), *(f"      {line}".rstrip() for line in lines)]


def explain_errors(errors: Mapping[str, str]) -> list[str]:
    return [f"    {code}: {text}" for code, text in errors.items()]


def describe_entry(entry: Entry) -> dict[str, Any]:
    described: dict[str, Any] = import_part("spiffproxy_describe").describe_entry(entry)
    return described
