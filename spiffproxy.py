"""A connector proxy for SpiffArena, in one module of Python's standard library.

    GET  /                              what this is
    GET  /liveness, /v1/liveness        {"ok": true}
    GET  /v1/commands                   the commands of every connector
    GET  /v1/auths                      what a person can sign in to
    GET  /v1/status                     what runs, what is missing, and what is broken
    GET  /v1/openapi.json               all of this, for programs
    POST /v1/do/<connector>/<Command>   execute a command
    GET  /v1/auth/<connector>/<Auth>    sign in, with a browser
    GET  /v1/typeahead/<category>       suggestions for a field of a form

`python3 spiffproxy.py` serves it; `spiffproxy:app` is the same for any WSGI server.

From top to bottom: errors, responses and JSON; running foreign code; settings; what a constructor accepts; one
connector; all connectors; request headers and bodies; execution; the application and its routes; the log; the built-in
server; the command line. A section uses only what stands above it. What only some installations need is in files beside
this one, in `connectors/spiffproxy_*`, which are imported when they are first needed.
"""

from __future__ import annotations

import ast
import builtins
import enum
import functools
import importlib
import importlib.util
import inspect
import io
import json
import logging
import os
import pkgutil
import re
import select
import signal
import socket
import sys
import threading
import time
import traceback
import types
import typing
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import InitVar
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, NamedTuple
from urllib.parse import parse_qsl, quote, unquote
from wsgiref.handlers import format_date_time

if TYPE_CHECKING:
    import argparse
    import ssl
    from wsgiref.types import StartResponse, WSGIEnvironment  # novm

    HeaderList = list[tuple[str, str]]

if sys.version_info < (3, 9):  # noqa: UP036 - else it ends with a traceback
    sys.exit("spiffproxy needs Python 3.9 or newer")

__version__ = "0.1.0"
__all__ = ["Proxy", "app", "main"]

logger = logging.getLogger("spiffproxy")

# --- Constants ----------------------------------------------------------------------------------------------------

LIST_SECONDS = 10  # to import all connectors for a list; SpiffArena waits 15 s
IMPORT_SECONDS = 30  # to import the connector of a command; SpiffArena waits 45 s

HEAD_SECONDS = 20  # for the request line and the headers (nginx: 60 s)
BODY_SECONDS = 20  # for the body of a request …
BODY_BYTES_PER_SECOND = 64 * 1024  # … and a second more for each of these
RESPONSE_SECONDS = 60  # for the client to receive the response
REST_SECONDS = 30  # for the client to stop sending; if the server closes first, the response is lost (nginx: 30 s)

MAX_HEAD_BYTES = 64 * 1024  # the request line and the headers (nginx: 32 KiB, IIS: 16 KiB)
MAX_HEADER_LINES = 100  # Apache: the same
CHUNK_BYTES = 64 * 1024  # received at once of a head; a response up to this size goes out in one send
BODY_CHUNK_BYTES = 1024**2  # received at once of a body

MAX_CONNECTIONS = 512  # at once, each with a thread
MAX_RUNNING_COMMANDS = 448  # the maximum of CONNECTOR_PROXY_THREADS; the other connections are for other requests
BACKLOG = 1024  # connections that wait in the kernel, which drops them in a burst if it has no room (socketserver: 5)
TURN_SECONDS = 0.003  # for a thread to handle a connection before another thread accepts; see Server
IDLE_THREAD_SECONDS = 10  # after this, a thread that waits to accept ends
POLL_SECONDS = 0.2  # how often the server looks whether it must stop
STOP_SECONDS = 45  # for running calls to finish when the server stops; SpiffArena does not wait longer

# receive or send what can be at once; Windows does not have it, and TLS sockets have no flags
DONT_WAIT = (socket.MSG_DONTWAIT,) if hasattr(socket, "MSG_DONTWAIT") else ()

SET_A_KEY = "set CONNECTOR_PROXY_API_KEY"
NO_BODY = (204, 304)  # the statuses whose responses have no body (RFC 9110 section 6.4.1)
JSON = "application/json"


# --- Errors, responses and JSON -----------------------------------------------------------------------------------


class SettingError(ValueError):
    """A setting or an argument that cannot be used. The message is one line and names it."""


class ProxyError(Exception):
    """An error as a response: its HTTP `status`, an `error_code` for boundary events, a `message` for people."""

    def __init__(self, status: int, error_code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.error_code = error_code
        self.message = message
        self.headers = headers or {}


class Response(NamedTuple):
    """An HTTP response."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = types.MappingProxyType({})
    error_code: str | None = None  # for the log

    def status_and_headers(self) -> tuple[str, HeaderList]:
        """Return the arguments of WSGI's `start_response`."""
        headers = list(self.headers.items())
        if self.status not in NO_BODY:
            headers.append(("Content-Type", self.content_type))
            headers.append(("Content-Length", str(len(self.body))))
        return f"{self.status} {REASONS.get(self.status, 'Unknown')}", headers


REASONS = {status.value: status.phrase for status in HTTPStatus}

# RFC 8259 has no NaN; ASCII cannot be garbled on its way
encode_as_text = json.JSONEncoder(allow_nan=False).encode


def encode_json(value: Any) -> bytes:
    """Raise TypeError, ValueError or RecursionError if `value` cannot be written as JSON."""
    return encode_as_text(value).encode("ascii")


def refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number in JSON (RFC 8259)")


# raises ValueError, of which JSONDecodeError is one, or RecursionError
decode_json = json.JSONDecoder(parse_constant=refuse_constant).decode


def json_type(value: Any) -> str:
    """Return what a value is in JSON, for a message; else its type in Python."""
    names = {"NoneType": "null", "str": "a string", "bool": "a boolean", "int": "a number", "list": "a list"}
    return names.get(type(value).__name__, f"of type {type(value).__name__}")


def response_from_error(error: ProxyError) -> Response:
    """Return the whole version 2 envelope that SpiffArena's backend needs to raise an error by its code."""
    envelope = {
        "command_response": {"body": None, "mimetype": JSON},
        "command_response_version": 2,
        "error": {"error_code": error.error_code, "message": error.message},
        "spiff__logs": [],
    }
    return Response(error.status, encode_json(envelope), headers=error.headers, error_code=error.error_code)


# --- Running foreign code -----------------------------------------------------------------------------------------


@contextmanager
def convert_exceptions(name: str, slots: threading.Semaphore | None = None) -> Iterator[None]:
    """Run foreign code, in a slot if `slots` is given; raise ProxyError: 503 if no slot is free, 500 if it raises."""
    if slots and not slots.acquire(blocking=False):
        message = "The proxy is already running its maximum number of commands (CONNECTOR_PROXY_THREADS). Try again."
        raise ProxyError(503, "too_busy", message, {"Retry-After": "1"})
    process = os.getpid()
    try:
        yield
    except BaseException as error:  # SystemExit, too
        if os.getpid() != process:  # a child that the code forked: it ends here, and does not serve
            code = (error.code or 0) if isinstance(error, SystemExit) else 1
            os._exit(code if isinstance(code, int) else 1)
        error_code = type(error).__name__
        log_frames(error, "%s raised %s", name, error_code)
        raise ProxyError(500, error_code, exception_text(error)) from None
    finally:
        if slots:
            slots.release()


def exception_text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # the class is foreign code, and its __str__ may raise anything
        return ""


def log_frames(error: BaseException, message: str, *arguments: object) -> None:
    """Log where an exception came from, without its text, which may contain a parameter of the command."""
    logger.error(message + "\n%s", *arguments, "".join(traceback.format_tb(error.__traceback__)).rstrip())


def import_part(name: str) -> types.ModuleType:
    """Import one of the files `connectors/spiffproxy_*`; raise ProxyError, 501, if it is missing."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if not missing.startswith("spiffproxy_"):
            raise
    file = missing.replace(".", "/") + ("" if missing == "spiffproxy_http" else ".py")
    raise ProxyError(501, "part_missing", f"This needs connectors/{file}, which is missing beside spiffproxy.py.")


# --- Settings -----------------------------------------------------------------------------------------------------

# the proxy's own: no command sees them
SECRET_SETTINGS = {f"CONNECTOR_PROXY_{name}" for name in ("API_KEY", "API_KEY_FILE", "SECRET_KEY", "UPSTREAMS_FILE")}
OFF, ON = ["off", "0", "false", "no"], ["on", "1", "true", "yes"]


class Settings:
    """The settings in the environment and the config file; the environment overrides. Raises `SettingError`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        # compose files write NAME=${NAME:-} for a variable that is unset; but an empty key may be a mistake
        variables = {name: value for name, value in environ.items() if value.strip() or name in SECRET_SETTINGS}
        path = read_string(variables, "CONNECTOR_PROXY_CONFIG")
        from_file = import_part("spiffproxy_settings").read_config_file(path) if path else {}
        values = {**from_file, **variables}
        self.config = types.MappingProxyType({name: values[name] for name in values if name not in SECRET_SETTINGS})
        self.host = read_string(values, "CONNECTOR_PROXY_HOST", "127.0.0.1")
        if str(values.get("CONNECTOR_PROXY_PORT")).startswith("tcp://"):
            del values["CONNECTOR_PROXY_PORT"]  # Kubernetes sets it in pods beside a service named connector-proxy
        self.port = read_integer(values, "CONNECTOR_PROXY_PORT", 7004, 0, 65535)
        self.max_running_commands = read_integer(values, "CONNECTOR_PROXY_THREADS", 64, 1, MAX_RUNNING_COMMANDS)
        self.max_request_bytes = read_integer(values, "CONNECTOR_PROXY_MAX_REQUEST_BYTES", 32 * 1024**2, 1, 2**40)
        self.api_keys = read_api_keys(values)
        self.cors_origins = set()
        if read_string(values, "CONNECTOR_PROXY_CORS_ORIGINS"):
            self.cors_origins = import_part("spiffproxy_cors").read_origins(values)
        self.connector_folders = read_folders(values)
        self.certfile = read_string(values, "CONNECTOR_PROXY_CERTFILE")
        self.keyfile = read_string(values, "CONNECTOR_PROXY_KEYFILE")
        self.log_format = read_choice(values, "CONNECTOR_PROXY_LOG_FORMAT", ["text", "json"])
        self.public_url = read_string(values, "CONNECTOR_PROXY_PUBLIC_URL").rstrip("/")
        self.secret_key = read_secret(values, "CONNECTOR_PROXY_SECRET_KEY") or os.urandom(32)
        self.auth_redirect_urls = read_list(values, "CONNECTOR_PROXY_AUTH_REDIRECT_URLS")
        self.typeahead_public = read_choice(values, "CONNECTOR_PROXY_TYPEAHEAD_PUBLIC", OFF + ON) in ON
        self.upstreams = read_string(values, "CONNECTOR_PROXY_UPSTREAMS")
        self.upstreams_file = read_string(values, "CONNECTOR_PROXY_UPSTREAMS_FILE")


def read_string(values: Mapping[str, Any], name: str, default: str = "") -> str:
    value = values.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise SettingError(f"{name} must be a string or a number, but is {json_type(value)}")
    return str(value).strip() or default


def read_list(values: Mapping[str, Any], name: str) -> list[str]:
    return read_string(values, name).replace(",", " ").split()


def read_integer(values: Mapping[str, Any], name: str, default: int, lowest: int, highest: int) -> int:
    text = read_string(values, name, str(default))
    if not re.fullmatch("[0-9]{1,18}", text) or not lowest <= int(text) <= highest:
        raise SettingError(f"{name} is {text!r}. Use a whole number from {lowest} to {highest}.")
    return int(text)


def read_choice(values: Mapping[str, Any], name: str, choices: list[str]) -> str:
    """Return one of the choices; the first is the default."""
    if isinstance(values.get(name), bool):  # in a config file
        values = {name: str(values[name])}
    text = read_string(values, name, choices[0]).lower()
    if text not in choices:
        raise SettingError(f"{name} is {text!r}. Use {' or '.join(choices)}.")
    return text


def read_api_keys(values: Mapping[str, Any]) -> list[bytes]:
    """Return the key of the variable and the keys of the file, one a line; a line that begins with # is a comment."""
    keys = [read_secret(values, "CONNECTOR_PROXY_API_KEY")]
    name = "CONNECTOR_PROXY_API_KEY_FILE"
    path = os.fsdecode(read_secret(values, name))
    if path:
        try:
            lines = Path(path).read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines()
        except OSError as error:
            raise SettingError(f"{name}: {error}") from None
        keys += [line.strip() for line in lines if not line.strip().startswith(b"#")]
        if not any(keys[1:]):
            raise SettingError(f"{name}: {path} has no key. Write one key a line.")
    return [key for key in keys if key]


def read_secret(values: Mapping[str, Any], name: str) -> bytes:
    text = read_string(values, name)
    if name in values and not text:
        raise SettingError(f"{name} is set but empty. Set a value, or unset it.")
    return text.encode("utf-8", "surrogateescape")


def read_folders(values: Mapping[str, Any]) -> list[str]:
    name = "CONNECTOR_PROXY_CONNECTORS"
    folders = [Path(folder).absolute() for folder in read_string(values, name).split(os.pathsep) if folder.strip()]
    for folder in folders:
        if not folder.is_dir():
            raise SettingError(f"{name}: there is no folder {folder}")
    return [str(folder) for folder in folders]


# --- What a constructor accepts -------------------------------------------------------------------------------------

NAMED_TYPES = (str, int, bool)  # in SpiffArena's protocol; all others are "any"
UNION_TYPES = (typing.Union, getattr(types, "UnionType", typing.Union))
ALIAS_TYPE: Any = getattr(typing, "TypeAliasType", ())  # `type Name = …` of Python 3.12
# Annotated[X, …] and the like stand for X
WRAPPER_NAMES = ("Annotated", "Final", "Required", "NotRequired", "ReadOnly")
WRAPPERS = [getattr(typing, name, typing.Annotated) for name in WRAPPER_NAMES]


class Parameter:
    """A parameter of a constructor: as Python has it in `signature`, and as it is listed."""

    def __init__(self, signature: inspect.Parameter, cls: type) -> None:
        self.name = signature.name
        self.signature = signature
        self.is_positional_only = signature.kind is signature.POSITIONAL_ONLY
        self.has_default = signature.default is not signature.empty
        self.type, self.admits_none = describe_annotation(signature.annotation, cls)
        self.is_required = not self.has_default and not self.admits_none

    def as_listed(self) -> dict[str, Any]:
        """Return the fields of SpiffArena's protocol."""
        return {"id": self.name, "type": self.type, "required": self.is_required}


class Entry:
    """A command, an authentication or a typeahead: its class, and what the constructor of the class takes."""

    def __init__(self, entry_id: str, cls: type) -> None:
        self.id = entry_id
        self.cls = cls
        self.parameters: list[Parameter] = []
        self.takes_kwargs = False
        self.may_be_slow = True  # until it has run quickly
        for signature in constructor_parameters(cls):
            if signature.kind is signature.VAR_KEYWORD:
                self.takes_kwargs = True
            elif signature.kind is not signature.VAR_POSITIONAL:
                self.parameters.append(Parameter(signature, cls))
        # derived once, so that a call costs a few operations on sets
        self.names = {parameter.name for parameter in self.parameters}
        self.required = {parameter.name for parameter in self.parameters if parameter.is_required}
        self.positional_only = [parameter.name for parameter in self.parameters if parameter.is_positional_only]
        self.reserved_names = reserved_names(cls)
        # what is passed for a parameter that a call leaves out, if the constructor needs it
        self.implicit_defaults: dict[str, Any] = {}
        for parameter in self.parameters:
            if parameter.admits_none and not parameter.has_default:
                self.implicit_defaults[parameter.name] = None
            elif parameter.is_positional_only and parameter.has_default:  # or the next one could not be passed
                self.implicit_defaults[parameter.name] = parameter.signature.default

    def as_listed(self) -> dict[str, Any]:
        return {"id": self.id, "parameters": [parameter.as_listed() for parameter in self.parameters]}

    def find_missing_requirements(self) -> list[str]:
        """Return the sentences of a class that knows what it needs; raise ProxyError, 500, if the class fails."""
        with convert_exceptions(f"{self.id}.find_missing_requirements"):
            return [str(sentence) for sentence in getattr(self.cls, "find_missing_requirements", list)()]


def constructor_parameters(cls: type) -> list[inspect.Parameter]:
    """Return them without `self`; none for a class that inherits the constructor of a builtin."""
    parameters = signature_parameters(cls)
    # a `__new__(cls, *args, **kwargs)` or a metaclass that passes everything on to `__init__`
    passes_on = [inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD]
    if [parameter.kind for parameter in parameters] == passes_on:
        return signature_parameters(getattr(cls, "__init__", None))[1:]
    return parameters


def reserved_names(cls: type) -> set[str]:
    """Return the names of `self` and `cls` in the constructor: `**kwargs` cannot take a value of these names."""
    names = set()
    for constructor in (getattr(cls, "__init__", None), cls.__new__):
        for parameter in signature_parameters(constructor)[:1]:
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
                names.add(parameter.name)
    return names


def signature_parameters(function: Any) -> list[inspect.Parameter]:
    options: dict[str, Any] = {}
    if sys.version_info >= (3, 14):  # evaluates annotations late, and fails at a name that is not defined
        options["annotation_format"] = importlib.import_module("annotationlib").Format.FORWARDREF
    try:
        return list(inspect.signature(function, **options).parameters.values())
    except (TypeError, ValueError):
        return []


def describe_annotation(annotation: Any, cls: type) -> tuple[str, bool]:
    """Return the protocol's name of a type, and whether the type admits None."""
    try:
        members = list(resolve_union(annotation, cls))
    except Exception:  # an annotation that cannot be read spoils only its own parameter
        return "any", False
    kinds = [member for member in members if member is not None and member is not type(None)]
    literals = [typing.get_args(kind) for kind in kinds if typing.get_origin(kind) is typing.Literal]
    admits_none = len(kinds) < len(members) or any(None in values for values in literals)
    for named in NAMED_TYPES:
        if kinds and all(kind is named for kind in kinds):
            return named.__name__, admits_none
    return "any", admits_none


class Unresolved(NamedTuple):
    reason: str  # why an annotation kept as a string has no meaning


def resolve_union(annotation: Any, cls: type) -> Iterator[Any]:
    """Yield each type of a union, or the type; for one that refers to itself, callers catch the RecursionError."""
    if isinstance(annotation, str):
        inner = [evaluate(code, cls) for code in compile_union(annotation)]
    elif isinstance(annotation, typing.ForwardRef):
        inner = [annotation.__forward_arg__]
    elif isinstance(annotation, InitVar):
        inner = [annotation.type]
    elif isinstance(annotation, ALIAS_TYPE):
        inner = [annotation.__value__]
    elif typing.get_origin(annotation) in UNION_TYPES:
        inner = list(typing.get_args(annotation))
    elif typing.get_origin(annotation) in WRAPPERS:
        inner = [typing.get_args(annotation)[0]]
    else:
        yield annotation
        return
    for member in inner:
        yield from resolve_union(member, cls)


@functools.lru_cache(maxsize=1024)
def compile_union(annotation: str) -> list[types.CodeType]:
    """Return X and Y of `X | Y` and `Union[X, Y]`, compiled: one of them may be a name that is not defined."""
    nodes = [ast.parse(annotation.strip(), mode="eval").body]
    codes = []
    while nodes:
        node = nodes.pop(0)
        generic = getattr(node, "value", None) if isinstance(node, ast.Subscript) else None
        name = getattr(generic, "attr", getattr(generic, "id", ""))  # typing.Optional, Optional
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            nodes = [node.left, node.right, *nodes]
        elif isinstance(node, ast.Subscript) and name in ("Optional", "Union", *WRAPPER_NAMES):
            inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            inner = inner[:1] if name in WRAPPER_NAMES else inner
            nodes = [*inner, *([ast.Constant(None)] if name == "Optional" else []), *nodes]
        else:
            codes.append(compile(ast.fix_missing_locations(ast.Expression(node)), "<annotation>", "eval"))
    return codes


def evaluate(code: types.CodeType, cls: type) -> Any:
    """Return the meaning of an annotation kept as a string, or `Unresolved`."""
    # 1. where the constructor was written, 2. the builtins
    scopes: list[Any] = [getattr(getattr(cls, "__init__", None), "__globals__", {}), vars(builtins)]
    # 3. each base class, and its module: a dataclass inherits fields from other modules
    for base in cls.__mro__:
        scopes += [vars(sys.modules[base.__module__]), vars(base)]
    scopes.append({"typing": typing})  # make_dataclass writes "typing.Any", and imports nothing
    try:
        return eval(code, {}, ChainMap(*scopes))  # noqa: S307 - written by the author of the command
    except RecursionError:
        raise
    except Exception as error:  # an unknown type, but one member of the union nonetheless
        return Unresolved(exception_text(error))


# --- One connector ------------------------------------------------------------------------------------------------


# what a connector can offer: the subpackage, and the method that a class needs to be offered
KINDS = {"commands": "execute", "auths": "app_description", "typeaheads": "execute"}


class Connector:
    """A package `connector_<name>`, imported once, when it is first asked for.

    The import runs in a thread of its own: if it hangs, only those wait who need this connector.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.package = f"connector_{name}"
        self.entries: dict[str, dict[str, Entry]] = {kind: {} for kind in KINDS}
        self.modules: dict[str, list[str]] = {kind: [] for kind in KINDS}
        self.failures: dict[str, str] = {}  # module → reason
        self.tracebacks: dict[str, traceback.TracebackException] = {}  # module → where, as text
        self.missing_requirements: list[str] = []  # each with how to install it
        self.import_timed_out = False  # it goes on, but nobody waits for it again
        self._start_lock = threading.Lock()
        self._imported = threading.Event()
        self._import_thread = threading.Thread(target=self._import, daemon=True)

    def wait_for_import(self, seconds: float) -> bool:
        """Import the connector if that was not done before; return whether it is done within `seconds`."""
        with self._start_lock:
            if not self._import_thread.ident:
                self._import_thread.start()
        return self._imported.is_set() or self._imported.wait(seconds)

    def has_failed(self, kind: str) -> bool:
        """Return whether the package, its subpackage `kind`, or all modules of the subpackage failed."""
        modules = self.modules[kind]
        has_failed = self.package in self.failures or f"{self.package}.{kind}" in self.failures
        return has_failed or (bool(modules) and all(module in self.failures for module in modules))

    def _import(self) -> None:
        with self._record_failure(self.package):
            package = importlib.import_module(self.package)
            requires = getattr(package, "requires", None)  # {"module": "how to install it"}
            for module, advice in requires.items() if isinstance(requires, dict) else ():
                if not is_installed(module):
                    message = f"{self.package} needs {module}, which is not installed: {advice}"
                    self.missing_requirements.append(message)
            for kind in KINDS:
                if (kind, True) in list_submodules(package):
                    self._collect(kind)
        self._imported.set()

    def _collect(self, kind: str) -> None:
        """Import the modules of a subpackage, and add the classes that have its method."""
        with self._record_failure(f"{self.package}.{kind}"):
            subpackage = importlib.import_module(f"{self.package}.{kind}")
            programs = find_programs(subpackage)
            for name in [name for name, _ in list_submodules(subpackage) if name not in programs]:
                module_name = f"{subpackage.__name__}.{name}"
                self.modules[kind].append(module_name)
                with self._record_failure(module_name):
                    for cls in find_classes(importlib.import_module(module_name)):
                        if callable(getattr(cls, KINDS[kind], None)):
                            self._add(self.entries[kind], cls)

    def _add(self, entries: dict[str, Entry], cls: type) -> None:
        entry = Entry(f"{self.name}/{cls.__name__}", cls)
        first = entries.setdefault(cls.__name__, entry)
        if first is not entry:
            logger.warning("%s is in %s and %s: the second is left out", entry.id, first.cls.__module__, cls.__module__)

    @contextmanager
    def _record_failure(self, module_name: str) -> Iterator[None]:
        try:
            yield
        except BaseException as error:  # sys.exit() included
            self.failures[module_name] = f"{type(error).__name__}: {exception_text(error)}"
            self.tracebacks[module_name] = traceback.TracebackException.from_exception(error)
            logger.exception("%s cannot be imported and is left out", module_name)


def is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of the package that it is in
        return False


def list_submodules(package: types.ModuleType) -> list[tuple[str, bool]]:
    """Return the names of a package's modules, sorted, each with whether it is a package."""
    return sorted((module.name, module.ispkg) for module in pkgutil.iter_modules(package.__path__))


def find_programs(package: types.ModuleType) -> set[str]:
    """Return the modules in a package that its commands execute as programs: to import one would execute it, too."""
    sources = []
    for path in (path for folder in package.__path__ for path in Path(folder).glob("*.py")):
        with suppress(OSError):  # importing it says what is wrong
            sources.append(path.read_text("utf-8", "replace"))
    if not any("spiffproxy_program" in source for source in sources):
        return set()
    return set(import_part("spiffproxy_settings").find_programs(sources))


def find_classes(module: types.ModuleType) -> list[type]:
    """Return the public, concrete classes that a module defines, by name."""
    classes = {}
    for value in list(vars(module).values()):
        if issubclass(type(value), type) and is_candidate(value, module.__name__):
            classes[id(value)] = value  # which may have several names in the module
    return sorted(classes.values(), key=lambda cls: cls.__name__)


def is_candidate(cls: type, module_name: str) -> bool:
    made_by_types = cls.__module__ == "types" and not hasattr(types, cls.__name__)  # make_dataclass, before 3.12
    if not (cls.__module__ == module_name or made_by_types) or cls.__name__.startswith("_"):
        return False
    if inspect.isabstract(cls) or getattr(cls, "_is_protocol", False):
        return False
    return not issubclass(cls, (BaseException, enum.Enum))


# --- All connectors -----------------------------------------------------------------------------------------------


class Connectors:
    """Every connector that can be found: in the given folders, among what is installed, and beside this module."""

    def __init__(self, folders: Iterable[str]) -> None:
        extend_sys_path(list(folders))
        self._by_name = {name: Connector(name) for name in find_connector_names()}
        self._lists: dict[str, bytes] = {}

    def __iter__(self) -> Iterator[Connector]:
        return iter(self._by_name.values())

    def load_entry(self, kind: str, entry_id: str) -> Entry:
        """Return an entry whose requirements are installed; raise ProxyError as `find_entry`, or 503."""
        connector, entry = self.find_entry(kind, entry_id)
        missing = connector.missing_requirements + entry.find_missing_requirements()
        if missing:
            raise ProxyError(503, "connector_unavailable", "; ".join(missing))
        return entry

    def find_entry(self, kind: str, entry_id: str) -> tuple[Connector, Entry]:
        """Import what is needed to return an entry; raise ProxyError, 404 or 503, that says what there is instead."""
        singular = kind.removesuffix("s")
        connector_name, _, name = entry_id.partition("/")
        # 1. the connector
        connector = self._by_name.get(connector_name)
        if connector is None:
            message = f"No connector {connector_name!r} here; {list_available(self._by_name)}"
            message += suggest_name(connector_name, self._by_name)
            raise ProxyError(404, f"{singular}_not_found", message)
        if not connector.wait_for_import(IMPORT_SECONDS):
            message = f"{connector.package} is still being imported, for more than {IMPORT_SECONDS} s"
            raise ProxyError(503, "connector_unavailable", message, {"Retry-After": "10"})
        # 2. its entry
        entries = connector.entries[kind]
        if name in entries:
            return connector, entries[name]
        # 3. the reason why there is none
        reasons = [f"{module} cannot be imported: {reason}" for module, reason in connector.failures.items()]
        faults = "".join(f"; {reason}" for reason in [*reasons, *connector.missing_requirements])
        if connector.has_failed(kind):
            message = f"The connector {connector_name!r} is broken{faults}. The proxy's log has the details."
            raise ProxyError(503, "connector_unavailable", message)
        message = f"The connector {connector_name!r} has no {singular} {name!r}; {list_available(entries)}{faults}"
        message += suggest_name(name, entries)
        raise ProxyError(404, f"{singular}_not_found", message)

    def list_entries(self, kind: str) -> bytes:
        """Return the JSON of `/v1/commands` or `/v1/auths`, made once, as soon as all connectors are imported."""
        if kind in self._lists:
            return self._lists[kind]
        entries, is_complete = self.load_all(kind)
        body = encode_json(describe_entries(entries))
        if is_complete:
            self._lists[kind] = body
        return body

    def load_all(self, kind: str) -> tuple[list[Entry], bool]:
        """Import all connectors, one after the other; return the entries, and whether these are complete.

        A connector that hangs gets half of the time that is left, and is not waited for again.
        """
        deadline = time.monotonic() + LIST_SECONDS
        entries: list[Entry] = []
        late = []
        for connector in self:
            half = max((deadline - time.monotonic()) / 2, 0.05)
            if connector.wait_for_import(0 if connector.import_timed_out else half):
                connector.import_timed_out = False
                entries += connector.entries[kind].values()
                continue
            late.append(connector)
            if not connector.import_timed_out:
                connector.import_timed_out = True
                logger.warning("%s is still being imported, and not listed until then", connector.package)
        return entries, not late


def describe_entries(entries: list[Entry]) -> list[dict[str, Any]]:
    """Return what is listed of each entry: without `spiffproxy_describe.py`, the fields of the protocol."""
    try:
        describe = import_part("spiffproxy_describe").describe_entry
    except ProxyError:
        describe = Entry.as_listed
    return [describe(entry) for entry in entries]


def extend_sys_path(folders: list[str]) -> None:
    """Put `folders` in front, and `connectors` beside this module after all that is installed."""
    home = Path(__file__).absolute().parent
    bundled = (home if home.is_dir() else home.parent) / "connectors"  # beside an archive that contains this module
    others = [entry for entry in sys.path if entry not in folders]
    if bundled.is_dir() and str(bundled) not in others:
        others.append(str(bundled))
    sys.path[:] = folders + others


def find_connector_names() -> list[str]:
    """Return the names of the packages `connector_<name>` that can be imported, sorted."""
    # pkgutil looks at each file of a folder, which takes long for an installation; what is no folder may be an archive
    places = [place for place in sys.path if not os.path.isdir(place) or any(Path(place).glob("connector_*"))]  # noqa: PTH112
    names = {module.name for module in pkgutil.iter_modules(places) if module.ispkg}
    known = ("_frozen_importlib", "_distutils_hack")  # Python's own, and setuptools' for distutils alone
    if any(not getattr(finder, "__module__", "").startswith(known) for finder in sys.meta_path):
        with suppress(ProxyError):  # import hooks, as of editable installs; only metadata names what they find
            names |= import_part("spiffproxy_settings").find_hooked_packages()
    return sorted(name[len("connector_") :] for name in names if name.startswith("connector_"))


def list_available(names: Iterable[str]) -> str:
    return f"there are: {', '.join(names)}" if names else "there are none"


def suggest_name(name: str, names: Iterable[str]) -> str:
    """Return "; did you mean …?" with the name that is nearest to an unknown one, or "" if none is near."""
    from difflib import get_close_matches  # takes its time

    lower = {known.lower(): known for known in names}
    close = get_close_matches(name[:100].lower(), lower, n=1)
    return f"; did you mean {lower[close[0]]}?" if close else ""


# --- Request headers and bodies -----------------------------------------------------------------------------------

REQUEST_LINE = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]+"  # the method
    rb"(?:(?i:https?)://([^\0- \x7f/?]+)([/?][^\0- \x7f]*)?|(/[^\0- \x7f]*|\*))"  # the target, perhaps with a host
    rb"(?:[ \t]+(HTTP/([0-9])\.[0-9]))?[ \t]*\r?\n?"
)
# what no header line may contain (RFC 9110 section 5.5), a CR that does not end a line included; a tab may
CONTROL = re.compile(r"[\0-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)")
BLANK = " \t\r"  # around a value; str.strip() would take bytes of UTF-8, too
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HOST = re.compile(r"([A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]*)?")  # RFC 3986 section 3.2.2


def parse_header_lines(block: bytes) -> HeaderList:
    """Return names and values, as latin-1; raise ValueError for a line that is invalid (RFC 9112 section 5)."""
    text = block.decode("latin-1")
    if CONTROL.search(text):
        raise ValueError("a header line contains a control character")
    fields: HeaderList = []
    for number, line in enumerate(text.split("\n"), 1):
        name, colon, value = line.partition(":")
        if colon and TOKEN.fullmatch(name):
            fields.append((name, value.strip(BLANK)))
        elif line.strip("\r"):
            raise ValueError(f"header line {number} is not a name, a colon and a value")
    return fields


def parse_request_line(line: bytes) -> tuple[str, str, str, str]:
    """Return method, host in the target or "", target without it, and version; raise ProxyError, 400 or 505.

    RFC 9112 sections 3 and 3.2.2; all are latin-1.
    """
    match = REQUEST_LINE.fullmatch(line)
    if not match:
        raise bad_request(400)
    groups = [group.decode("latin-1") if group else "" for group in match.groups()]
    method, host, rest, target, version, major = groups
    if major != "1":  # without a version it is HTTP/0.9, whose responses have no status
        raise bad_request(505)
    return method, host.rpartition("@")[2], target or rest, version


def parse_request_headers(block: bytes, version: str, host: str) -> HeaderList:
    """Return names and values, with a host in the target as the one of Host; raise ProxyError, 400 or 431."""
    try:
        fields = parse_header_lines(block.removesuffix(b"\n").removesuffix(b"\r"))
    except ValueError as error:
        raise bad_request(400, str(error)) from None
    if len(fields) > MAX_HEADER_LINES:
        raise bad_request(431)
    hosts = [value for name, value in fields if name.lower() == "host"]  # RFC 9112 section 3.2
    if len(hosts) > 1 or (not hosts and version != "HTTP/1.0"):
        raise bad_request(400, "it must have one Host header")
    if host:
        hosts = [host]
        fields = [field for field in fields if field[0].lower() != "host"] + [("Host", host)]
    if hosts and not HOST.fullmatch(hosts[0]):
        raise bad_request(400, "the Host header must be a host, with or without a port")
    return fields


def bad_request(status: int, reason: str = "") -> ProxyError:
    return ProxyError(status, "bad_request", f"The request is invalid: {reason or REASONS[status]}")


def add_headers(environ: WSGIEnvironment, fields: Iterable[tuple[str, str]]) -> None:
    """Add header fields to an environ (PEP 3333), repeated ones as one (RFC 9110 section 5.3).

    A name with `_` is left out: in the environ it could not be told from the same name with `-`.
    """
    for name, value in fields:
        if "_" in name:
            continue
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = "HTTP_" + key
        if key in environ:
            value = environ[key] + ("; " if key == "HTTP_COOKIE" else ", ") + value
        environ[key] = value


def parse_query(environ: WSGIEnvironment) -> dict[str, str]:
    """Return the query of a request; what is not percent-encoded is UTF-8, as in the path."""
    text = environ.get("QUERY_STRING", "").encode("latin-1", "replace").decode("utf-8", "replace")
    return dict(parse_qsl(text))


def read_json(environ: WSGIEnvironment, limit: int) -> dict[str, Any]:
    """Return the JSON object in the body of a request, `{}` if the body is empty.

    Raises `ProxyError`, in the order 415, 411 or 400 for the length, 413, 408 or 400 for the body.
    """
    media_type = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if media_type != JSON:  # which a page in a browser cannot send to another site without asking (CORS)
        found = repr(media_type) if media_type else "missing"
        message = f"The content type is {found}; send the parameters as a JSON object, as Content-Type: {JSON}"
        raise ProxyError(415, "unsupported_media_type", message)
    coding = environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if coding not in ("", "identity"):
        message = f"The request body has the Content-Encoding {coding[:40]!r}. Send it without a Content-Encoding."
        raise ProxyError(415, "unsupported_media_type", message)
    body = read_body(environ["wsgi.input"], read_length(environ, limit), limit)
    parameters = parse_json(body) if body else {}
    if not isinstance(parameters, dict):
        message = f'The body must be a JSON object such as {{"name": "value"}}, but is {json_type(parameters)}'
        raise ProxyError(400, "invalid_json", message)
    return parameters


def read_length(environ: WSGIEnvironment, limit: int) -> int | None:
    """Return the length of the body, or None if the server ends it by itself (`wsgi.input_terminated`)."""
    length = environ.get("CONTENT_LENGTH") or ""
    if not length or "HTTP_TRANSFER_ENCODING" in environ:
        if environ.get("wsgi.input_terminated"):
            return None
        if length:  # which of the two ends the body? (RFC 9112 section 6.3)
            message = "The request has a Content-Length and a Transfer-Encoding. Send only the Content-Length."
            raise ProxyError(400, "invalid_content_length", message)
        raise ProxyError(411, "length_required", "Send a Content-Length, and no Transfer-Encoding.")
    if not re.fullmatch("[0-9]+", length):
        message = f"The Content-Length is {length[:100]!r}. It must be a number of bytes."
        raise ProxyError(400, "invalid_content_length", message)
    if len(length.lstrip("0")) > 18 or int(length) > limit:
        raise request_too_large(limit)
    return int(length)


def request_too_large(limit: int) -> ProxyError:
    message = f"The request body is larger than {limit} bytes (CONNECTOR_PROXY_MAX_REQUEST_BYTES)."
    return ProxyError(413, "request_too_large", message)


def read_body(stream: Any, length: int | None, limit: int) -> bytes:
    wanted = limit + 1 if length is None else length
    parts = []
    try:
        while wanted and (part := stream.read(wanted)):
            parts.append(part)
            wanted -= len(part)
    except (TimeoutError, socket.timeout):  # two classes on 3.9
        raise ProxyError(408, "request_timeout", "The request body did not arrive in time. Send it again.") from None
    except Exception as error:  # each server has its own class for a client that disconnected or sent nonsense
        raise ProxyError(
            400, "incomplete_request", f"The request body cannot be read: {type(error).__name__}"
        ) from None
    if length is None and not wanted:
        raise request_too_large(limit)
    if length is not None and wanted:
        raise ProxyError(400, "incomplete_request", f"The request body ends after {length - wanted} of {length} bytes.")
    return b"".join(parts)


def parse_json(body: bytes) -> Any:
    """Raise `ProxyError`, 400, for what is not JSON in UTF-8; a byte order mark is skipped."""
    try:
        return decode_json(body.decode().removeprefix("\ufeff"))
    except UnicodeDecodeError as error:
        reason = f"it is not UTF-8 at byte {error.start}"
    except json.JSONDecodeError as error:
        reason = str(error)
    except ValueError:
        reason = "a number must be finite, and have no more than 4300 digits"
    except RecursionError:
        reason = "it is nested too deeply"
    raise ProxyError(400, "invalid_json", f"The body is not valid JSON: {reason}")


# --- Execution ----------------------------------------------------------------------------------------------------


def bind_parameters(entry: Entry, values: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments of the constructor; raise ProxyError, 400, that names what is missing or unknown."""
    missing = entry.required - values.keys()
    if entry.takes_kwargs:
        unknown = (values.keys() & entry.reserved_names) - entry.names
    else:
        unknown = values.keys() - entry.names
    if missing or unknown:
        faults = [f"missing: {', '.join(sorted(missing))}"] if missing else []
        faults += [f"unknown: {', '.join(sorted(unknown))}"] if unknown else []
        known = [f"{one.name} (required)" if one.is_required else one.name for one in entry.parameters]
        suggested = "".join(suggest_name(name, entry.names) for name in sorted(unknown))
        message = f"{entry.id}: {'; '.join(faults)}{suggested or '.'} It accepts {', '.join(known) or 'no parameters'}."
        raise ProxyError(400, "invalid_parameters", message)
    keywords = {**entry.implicit_defaults, **values}
    return [keywords.pop(name) for name in entry.positional_only], keywords


def execute(entry: Entry, body: dict[str, Any], config: Mapping[str, Any], slots: threading.Semaphore) -> Response:
    """Execute a command with the body of a service task's call, and return its result as SpiffArena reads it.

    Raises `ProxyError`: 400 for the parameters, 503 if no slot is free, 500 if the command fails.
    """
    parameters = {name: value for name, value in body.items() if not name.startswith("spiff__")}
    arguments, keywords = bind_parameters(entry, parameters)
    task_data = body.get("spiff__task_data")
    if task_data is None:
        task_data = {}
    callback_url = body.get("spiff__callback_url")
    with convert_exceptions(entry.id, slots):
        command = entry.cls(*arguments, **keywords)
        asynchronous = bool(callback_url) and callable(getattr(command, "execute_async", None))
        if asynchronous:
            result = run_to_end(command.execute_async(config, task_data, callback_url=callback_url))
        else:
            result = run_to_end(command.execute(config, task_data))
    with check_result(entry.id, result):
        return response_from_result(result, asynchronous=asynchronous)


def run_to_end(result: Any) -> Any:
    """Return the result of a command; one that is a coroutine runs in a loop of its own."""
    if not inspect.iscoroutine(result):
        return result
    import asyncio

    return asyncio.run(result)


@contextmanager
def check_result(name: str, result: Any) -> Iterator[None]:
    """Raise ProxyError, 500, if what is done with a result fails."""
    try:
        yield
    except BaseException as error:  # a result may be of a foreign class, which raises anything
        message = f"{name} returned no valid result: {exception_text(error)}"
        with suppress(BaseException):  # the part is missing, or the result raises again
            message += import_part("spiffproxy_results").explain_invalid(result)
        raise ProxyError(500, "invalid_response", message) from None


def response_from_result(result: Any, *, asynchronous: bool) -> Response:
    """Raise TypeError, ValueError or RecursionError for a result that is invalid in SpiffArena's protocol."""
    if not isinstance(result, Mapping):
        raise TypeError(f"it must be an object with response, or command_response, but is {json_type(result)}")
    # 202 promises SpiffArena that the callback URL will be called
    status = 202 if asynchronous else 200
    version = result.get("command_response_version")
    if isinstance(version, str) and re.fullmatch(r"[0-9]{1,9}(\.0*)?", version.strip()):
        version = int(float(version))
    if isinstance(version, (int, float)) and version > 1:
        envelope = complete_envelope(result, version)
        error_code = envelope["error"]["error_code"] if envelope["error"] else None
        return Response(status, encode_json(envelope), error_code=error_code)
    if asynchronous:
        return Response(status, encode_json(dict(result)))
    return response_from_version_1(result)


def complete_envelope(result: Mapping[str, Any], version: float) -> dict[str, Any]:
    """Return a version 2 envelope with what the command left out and SpiffArena's backend fails without."""
    error = result.get("error")
    if error:
        error = with_defaults("error", error, {"error_code": "unspecified_error", "message": ""})
        error["error_code"] = str(error["error_code"])
    logs = result.get("spiff__logs")
    envelope = dict(result)
    envelope["command_response"] = with_defaults(
        "command_response", result.get("command_response"), {"body": None, "mimetype": JSON}
    )
    envelope["command_response_version"] = version
    envelope["error"] = error or None
    envelope["spiff__logs"] = [logs] if isinstance(logs, str) else logs or []
    return envelope


def with_defaults(name: str, given: Any, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mapping `given` with the defaults of the keys that it leaves out or has as null."""
    given = {} if given is None else given
    if not isinstance(given, Mapping):
        raise TypeError(f"its {name} must be an object with {' and '.join(defaults)}, but is {json_type(given)}")
    missing = {key: default for key, default in defaults.items() if given.get(key) is None}
    return {**given, **missing}


def response_from_version_1(result: Mapping[str, Any]) -> Response:
    # 1. the body
    if "response" not in result:
        names = ", ".join(str(name) for name in result) or "nothing"
        advice = 'Add "command_response_version": 2, and the body in "command_response".'
        raise ValueError(f"it has no 'response' and no command_response_version, only: {names}. {advice}")
    body = encode_response(result["response"])
    # 2. the status
    result = with_defaults("result", result, {"status": 200, "mimetype": JSON})
    status, mimetype = result["status"], result["mimetype"]
    if isinstance(status, str) and re.fullmatch("[0-9]{3}", status.strip()):
        status = int(status)
    if not isinstance(status, int) or not 200 <= status <= 599:
        raise ValueError(f"its status is {status!r}. Use a number from 200 to 599.")
    status = int(status)  # it may be a member of an enumeration
    if status == 202:  # SpiffArena would wait for a callback that nobody was asked to make
        status = 200
    # 3. the content type
    if not isinstance(mimetype, str) or not re.fullmatch("[ -~]+", mimetype):
        raise ValueError(f"its mimetype is {mimetype!r}. Use one such as application/json.")
    mimetype = str.__str__(mimetype)  # it may be a member of an enumeration
    if mimetype.lower().startswith("text/") and "charset" not in mimetype.lower():
        mimetype += "; charset=utf-8"  # SpiffArena would read latin-1
    return Response(status, body, mimetype)


def encode_response(response: Any) -> bytes:
    """Return the `response` of a version 1 result as the body of the HTTP response."""
    if response is None:
        return b""
    if isinstance(response, str):
        return response.encode()
    if isinstance(response, bytes):
        return bytes(response)  # it may be of a subclass, which servers refuse
    if isinstance(response, Mapping):
        response = dict(response)
    return encode_json(response)


# --- The application and its routes -------------------------------------------------------------------------------


class Route(NamedTuple):
    """What answers a path."""

    methods: tuple[str, ...]
    handler: str  # a method of Proxy, or a function of a part
    guarded: bool = False  # it needs the key
    part: str = ""


READ = ("GET", "HEAD", "OPTIONS")
EXECUTE = ("POST", "OPTIONS")
BROWSE = ("GET", "OPTIONS")
# `*` stands for one segment: a connector and what it offers, or a category
ROUTES = {
    "": Route(READ, "show_index"),
    "liveness": Route(READ, "show_liveness"),
    "v1/liveness": Route(READ, "show_liveness"),
    "v1/commands": Route(READ, "list_commands", guarded=True),
    "v1/auths": Route(READ, "list_auths", guarded=True),
    "v1/status": Route(READ, "show_status", guarded=True, part="spiffproxy_status"),
    "v1/openapi.json": Route(READ, "show_openapi", guarded=True, part="spiffproxy_openapi"),
    "v1/do/*/*": Route(EXECUTE, "execute_command", guarded=True),
    "v1/typeahead/*": Route(READ, "suggest", guarded=True, part="spiffproxy_typeahead"),
    # a browser follows these, and has no key
    "v1/auth/*/*": Route(BROWSE, "begin_sign_in", part="spiffproxy_sign_in"),
    "v1/auth/*/*/callback": Route(BROWSE, "end_sign_in", part="spiffproxy_sign_in"),
}


def find_route(path: str) -> tuple[Route, str]:
    """Return the route of a path, and what its `*` stand for, with a slash between them; raise ProxyError, 404."""
    segments = [segment for segment in path.split("/") if segment]  # a base URL may end in a slash
    names = segments[2:4]
    pattern = segments[:2] + ["*"] * len(names) + segments[4:]
    route = ROUTES.get("/".join(pattern))
    if route is None:
        message = f"No such path: {path[:200]!r}. There are /v1/commands, /v1/auths, /v1/do/<connector>/<Command>"
        raise ProxyError(404, "not_found", message)
    return route, "/".join(names)


class Proxy:
    """The connector proxy, a WSGI application (PEP 3333).

    Its settings are read from `environ`, a mapping shaped like `os.environ`, which is the default. Raises ValueError,
    with one line that names the setting, if one cannot be used. Between requests it keeps only the connectors that it
    has imported.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        extend_sys_path([])
        self.settings = Settings(os.environ if environ is None else environ)
        self.connectors = Connectors(self.settings.connector_folders)
        self.warnings: list[str] = []
        try:
            complete_settings = import_part("spiffproxy_settings").complete_settings
        except ProxyError:  # copied alone, without connectors that have settings
            pass
        else:
            self.warnings = complete_settings(self.settings)
        self.slots = threading.BoundedSemaphore(self.settings.max_running_commands)
        self.upstreams: Any = None
        if self.settings.upstreams or self.settings.upstreams_file:
            self.upstreams = import_part("spiffproxy_upstreams").Upstreams(self)
        self.started = time.time()
        self.connections: Sized | None = None  # those of the built-in server
        self._first_request = threading.Lock()  # acquired once, at the first request of another server

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        status, headers, body = self.respond(environ)
        start_response(status, headers)
        return [body] if body else []

    def respond(self, environ: WSGIEnvironment) -> tuple[str, HeaderList, bytes]:
        """Return status, headers and body; whatever happens, they are something that SpiffArena can read."""
        try:
            response = self.dispatch(environ)
        except ProxyError as error:
            response = response_from_error(error)
        except Exception as error:
            log_frames(error, "the proxy itself raised %s", type(error).__name__)
            fault = ProxyError(500, "internal_error", "The proxy has a fault; its log says where.")
            response = response_from_error(fault)
        if response.error_code:
            environ.get("spiffproxy.log", {})["error_code"] = response.error_code
        status, headers = response.status_and_headers()
        if self.settings.cors_origins:
            headers += import_part("spiffproxy_cors").cors_headers(self.settings.cors_origins, environ, response)
        has_body = response.status not in NO_BODY and environ["REQUEST_METHOD"] != "HEAD"
        return status, headers, response.body if has_body else b""

    def dispatch(self, environ: WSGIEnvironment) -> Response:
        """Find the route and hand over to it; refuse in the order of SpiffArena's protocol: 404, 401, 405."""
        if "spiffproxy.log" not in environ and self._first_request.acquire(blocking=False):
            self.log_warnings()
            if not self.settings.api_keys:
                logger.warning("no key is set: everyone who reaches this URL can run commands; %s", SET_A_KEY)
        path = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace")
        method = environ["REQUEST_METHOD"]
        if method == "OPTIONS" and path == "*":  # of the server as a whole (RFC 9110 section 9.3.7)
            return Response(204, headers={"Allow": "GET, HEAD, POST, OPTIONS"})
        route, names = find_route(path)
        allow = {"Allow": ", ".join(route.methods)}
        if method == "OPTIONS":
            return Response(204, headers=allow)
        is_public = route.handler == "suggest" and self.settings.typeahead_public
        if route.guarded and not is_public and not self.has_valid_key(environ):
            challenge = {"WWW-Authenticate": 'ApiKey header="Spiff-Connector-Proxy-Api-Key"'}
            reason = "wrong_key" if "HTTP_SPIFF_CONNECTOR_PROXY_API_KEY" in environ else "no_key"  # for the log alone
            return Response(401, encode_json({"error": "Unauthorized"}), headers=challenge, error_code=reason)
        if method not in route.methods:
            message = f"This path accepts {allow['Allow']}, but not {method[:20]}."
            raise ProxyError(405, "method_not_allowed", message, allow)
        if self.upstreams and (response := self.upstreams.dispatch(environ, route, names)):
            return response
        if route.part:
            return getattr(import_part(route.part), route.handler)(self, environ, names)
        return getattr(self, route.handler)(environ, names)

    def log_warnings(self) -> None:
        for warning in self.warnings:
            logger.warning("%s", warning)

    def has_valid_key(self, environ: WSGIEnvironment) -> bool:
        """Compare the key that was sent with each of the proxy's, as bytes and in constant time."""
        keys = self.settings.api_keys
        if not keys:
            return True
        from hmac import compare_digest  # loads OpenSSL

        sent = environ.get("HTTP_SPIFF_CONNECTOR_PROXY_API_KEY", "")
        # beyond ASCII, Python's clients send latin-1 and others UTF-8
        forms = sent.encode("latin-1", "replace"), sent.encode("utf-8", "replace")
        return any([compare_digest(form, key) for key in keys for form in forms])  # noqa: C419 - all are compared

    def show_index(self, environ: WSGIEnvironment, _: str) -> Response:
        text = f"A connector proxy for SpiffArena. Its commands: {environ.get('SCRIPT_NAME', '')}/v1/commands\n"
        plain = "text/plain; charset=utf-8"
        response = Response(200, text.encode("latin-1"), plain, {"Vary": "Accept"})  # WSGI's letters are bytes
        with suppress(ProxyError):  # without the page, browsers get the text as well
            if "text/html" in environ.get("HTTP_ACCEPT", "").lower():
                return import_part("spiffproxy_page").show_page(environ, response)
        return response

    def show_liveness(self, *_: object) -> Response:
        return Response(200, b'{"ok": true}')

    def list_commands(self, *_: object) -> Response:
        return Response(200, self.connectors.list_entries("commands"))

    def list_auths(self, *_: object) -> Response:
        return Response(200, self.connectors.list_entries("auths"))

    def execute_command(self, environ: WSGIEnvironment, command_id: str) -> Response:
        environ.get("spiffproxy.log", {})["command"] = command_id
        body = read_json(environ, self.settings.max_request_bytes)
        command = self.connectors.load_entry("commands", command_id)
        if command.may_be_slow and "spiffproxy.pass_turn" in environ:
            environ["spiffproxy.pass_turn"]()
        started = time.perf_counter()
        try:
            return execute(command, body, self.settings.config, self.slots)
        finally:
            command.may_be_slow = time.perf_counter() - started > TURN_SECONDS / 3


app: Proxy


@functools.cache
def get_app() -> Proxy:
    return Proxy()


def __getattr__(name: str) -> Any:
    """Create `spiffproxy.app` from the environment when it is first asked for (PEP 562)."""
    if name == "app":
        return get_app()
    if name == "lambda_handler":  # functions that were deployed before it had a file of its own
        extend_sys_path([])
        return import_part("spiffproxy_lambda").lambda_handler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# --- The log ------------------------------------------------------------------------------------------------------


def start_log(log_format: str) -> Callable[[dict[str, Any]], None]:
    """Log to stderr, and return the function that logs a request of the built-in server."""
    threading.excepthook = sys.unraisablehook = log_unhandled
    try:
        start: Callable[[str], Callable[[dict[str, Any]], None]] = import_part("spiffproxy_log").start
    except ProxyError:
        if log_format != "text":
            raise
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
        return lambda fields: logger.info("%s", " ".join(str(value) for value in quote_fields(fields).values()))
    return start(log_format)


def log_unhandled(failure: Any) -> None:
    """Log an exception that nobody handles, in a thread or where Python cannot raise it, without its text."""
    if failure.exc_value and failure.exc_type is not SystemExit:
        log_frames(failure.exc_value, "a thread or an object raised %s", failure.exc_type.__name__)


def quote_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """Percent-encode what could forge another line of the log, or another field of this one."""
    safe = "/%:@!$&'()*+,;=~"
    return {
        name: quote(value[:500], safe, errors="replace") if isinstance(value, str) else value
        for name, value in fields.items()
    }


# --- The built-in server: one connection --------------------------------------------------------------------------

END_OF_HEAD = re.compile(rb"\r?\n\r?\n")


class Connection:
    """One client: its request, the response, and a line in the log. It is `wsgi.input`, too.

    `state` is "head" while the request line and the headers are read, "body" while the body is, "busy" when the request
    is complete, and "rest" while what follows the request is discarded. A server that stops closes connections in
    "head" and "rest" and waits for the others; one that has no room closes the oldest that is not "busy".
    """

    def __init__(self, server: Server, sock: socket.socket, address: tuple[Any, ...]) -> None:
        self.server = server
        self.sock = sock
        self.client = str(address[0])
        self.started = time.perf_counter()
        self.state = "head"
        self.flags = DONT_WAIT  # of receiving and sending
        sock.settimeout(None)  # a connector may have set a default
        self.set_deadline(HEAD_SECONDS)
        self.method = self.target = ""
        self.log: dict[str, str] = {}  # for the end of the log line: command, error_code, undelivered
        self._received = b""  # of the body, together with the head
        self._body_left = sys.maxsize  # bytes of the body that were not read; the headers say how many there are
        self._is_body_started = False
        self._expects_continue = False  # the client waits for an interim response before it sends the body

    def pass_turn(self) -> None:
        self.server.pass_turn(self)

    def set_deadline(self, seconds: float) -> None:
        """Have receiving and sending end after this time, in however many pieces they are done."""
        self._deadline = time.monotonic() + seconds

    def _send_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._try(self.sock.send, view) :]

    def _try(self, operation: Callable[..., Any], argument: Any) -> Any:
        """Do it at once if that can be: a socket with a timeout would call `poll` first, and let other threads run."""
        seconds = self._deadline - time.monotonic()
        if seconds <= 0:
            raise socket.timeout  # the class that sockets raise, on 3.9 too
        if self.flags:
            with suppress(BlockingIOError):
                return operation(argument, *self.flags)
        self.pass_turn()
        self.sock.settimeout(seconds)
        try:
            return operation(argument)
        finally:
            self.sock.settimeout(None)  # with a timeout, the flag would not count

    def handle(self) -> None:
        try:
            head = self.receive_head()
            if not head:
                return
            status, headers, body = self.server.proxy.respond(self.parse_head(head))
        except ProxyError as error:
            response = response_from_error(error)
            status, headers = response.status_and_headers()
            body = b"" if self.method == "HEAD" else response.body
            self.log["error_code"] = error.error_code
        self.send(status, headers, body)
        if "undelivered" not in self.log:
            with suppress(OSError):  # a client that is gone has its response, or will never have it
                if self._body_left or self._received or (self.flags and self.sock.recv(1, *self.flags)):
                    self.discard_rest()

    def receive_head(self) -> bytes:
        """Return the request line and the headers, or nothing if none come; raise `ProxyError`, 414 or 431."""
        head = bytearray()
        searched = 0
        while True:
            end = END_OF_HEAD.search(head, max(searched - 3, 0))
            searched = len(head)
            size = end.end() if end else len(head)
            if size > MAX_HEAD_BYTES:
                raise bad_request(431 if b"\n" in head[:MAX_HEAD_BYTES] else 414)
            if end:
                self.state = "body"
                self._received = bytes(head[size:])
                return bytes(head[:size])
            part = self._try(self.sock.recv, CHUNK_BYTES)
            if not part and head:
                raise ConnectionAbortedError
            if not part:
                return b""
            head += part
            if head.startswith(b"\x16\x03"):  # a TLS record (RFC 8446 section 5.1)
                raise bad_request(400, "it is TLS, and this port expects http://")
            if head.startswith(b"\r\n"):  # an empty line may come first (RFC 9112 section 2.2)
                del head[:2]

    def parse_head(self, head: bytes) -> WSGIEnvironment:
        """Return the environ of a request (PEP 3333); raise `ProxyError`, 400, 431 or 505."""
        line, _, block = head.partition(b"\n")
        self.method, host, self.target, version = parse_request_line(line)
        path, _, query = self.target.partition("?")
        environ: WSGIEnvironment = {
            "REQUEST_METHOD": self.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(path, "latin-1"),
            "QUERY_STRING": query,
            "SERVER_NAME": self.server.host,
            "SERVER_PORT": str(self.server.port),
            "SERVER_PROTOCOL": version,
            "REMOTE_ADDR": self.client,
            "wsgi.url_scheme": "https" if self.server.tls else "http",
            "wsgi.input": self,
            "spiffproxy.log": self.log,
            "spiffproxy.pass_turn": self.pass_turn,
        }
        add_headers(environ, parse_request_headers(block, version, host))
        length = environ.get("CONTENT_LENGTH", "0")
        if "HTTP_TRANSFER_ENCODING" not in environ and re.fullmatch("[0-9]{1,18}", length):
            self._body_left = int(length)
            if not self._body_left:
                self.state = "busy"
        self._expects_continue = version == "HTTP/1.1" and environ.get("HTTP_EXPECT", "").lower() == "100-continue"
        return environ

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes of the body, or nothing at its end; its clock starts when it is first read."""
        if not self._is_body_started:
            self._is_body_started = True
            self.set_deadline(BODY_SECONDS + self._body_left / BODY_BYTES_PER_SECOND)
            if self._expects_continue:
                self._send_all(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            return self._take_body(size)
        except socket.timeout:
            self._body_left = 0  # there is nothing to wait for any longer
            raise

    def discard_rest(self) -> None:
        """Read what the client still sends, as it comes over the network, until it closes the connection."""
        self._end_sending()
        self.state = "rest"
        if not self.server.is_cutting:
            self.set_deadline(REST_SECONDS)
            while self._try(functools.partial(socket.socket.recv, self.sock), CHUNK_BYTES):
                pass

    def _take_body(self, size: int) -> bytes:
        size = min(size, self._body_left)
        if self._received:
            part, self._received = self._received[:size], self._received[size:]
        else:
            part = self._try(self.sock.recv, min(size, BODY_CHUNK_BYTES)) if size else b""
        self._body_left -= len(part)
        if not self._body_left:
            self.state = "busy"
        return part

    def send(self, status: str, headers: HeaderList, body: bytes) -> None:
        own = [("Date", format_date_time(time.time())), ("Server", "spiffproxy"), ("Connection", "close")]
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in [*own, *headers]), "\r\n"]
        head = "\r\n".join(lines).encode("latin-1")
        self.set_deadline(RESPONSE_SECONDS)
        try:
            if len(body) <= CHUNK_BYTES:
                self._send_all(head + body)
            else:  # joining them would copy what may be megabytes
                self._send_all(head)
                self._send_all(body)
        except OSError as error:
            self.log["undelivered"] = f"undelivered:{type(error).__name__}"
        path = self.target.partition("?")[0].encode("latin-1").decode(errors="replace")
        fields = {
            "method": self.method or "-",
            "path": path if path.startswith("/") else "-",
            "status": int(status[:3]),
            "bytes": len(body),
            "milliseconds": round((time.perf_counter() - self.started) * 1000, 1),
            "client": self.client,
        }
        self.server.log_request({**fields, **self.log})

    def close(self) -> None:
        """End the connection, also for a child process that holds it."""
        with suppress(OSError, ValueError):
            self._end_sending()
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)
        self.sock.close()

    def _end_sending(self) -> None:
        """Tell the client that nothing more comes, over TLS with close_notify (RFC 8446 section 6.1)."""
        if hasattr(self.sock, "unwrap"):
            self.sock.settimeout(0)
            with suppress(OSError, ValueError):  # the client has not said the same: it is not waited for
                self.sock.unwrap()
        socket.socket.shutdown(self.sock, socket.SHUT_WR)  # SSLSocket's would go on in plain text


# --- The built-in server: threads ---------------------------------------------------------------------------------


class Server:
    """Accepts connections and handles them, in threads that take turns.

    The thread that has the turn accepts a connection, handles it, and accepts the next one: no other thread has to be
    woken for it. It passes the turn on before it has to wait: if a read or a write would block, and before a command
    that is new or was slow the last time. A watcher takes the turn from a thread that is not done within
    `TURN_SECONDS`. A thread without the turn finishes its connection and waits for the turn, for a while.
    """

    def __init__(self, proxy: Proxy, log_request: Callable[[dict[str, Any]], None]) -> None:
        settings = proxy.settings
        self.proxy = proxy
        self.log_request = log_request
        self.tls: ssl.SSLContext | None = None
        if settings.certfile:
            self.tls = import_part("spiffproxy_tls").load_certificate(settings.certfile, settings.keyfile)
        self._listener = open_listener(settings.host, settings.port)
        self.host, self.port = self._listener.getsockname()[:2]
        self._connections: dict[Connection, None] = {}  # in the order in which they were accepted
        proxy.connections = self._connections
        self.is_stopping = False  # nothing more is accepted than what the kernel has accepted already
        self._left_to_accept = BACKLOG  # of that
        self._is_closed = threading.Event()  # nothing is accepted
        self.is_cutting = False  # connections without a request are closed
        self._lock = threading.Lock()  # of the next three
        self._holder: Connection | None = None  # handled by the thread that has the turn; None while it accepts
        self._waiting_threads = 0
        self._turn = threading.Semaphore(0)  # what these wait at
        self._is_active = threading.Event()
        os.register_at_fork(after_in_child=self.abandon)

    def accept_and_handle(self) -> None:
        """Do so as long as this thread gets the turn, which it has at first."""
        while True:
            connection = self.accept()
            if connection is None:
                return
            with self._lock:  # which the thread that passes the turn to this one releases last
                self._holder = connection
            if not self._is_active.is_set():
                self._is_active.set()
            self.handle(connection)
            with self._lock:
                has_turn = self._holder is connection
                if has_turn:
                    self._holder = None
                else:
                    self._waiting_threads += 1
            if not has_turn and not self._turn.acquire(timeout=IDLE_THREAD_SECONDS):
                with self._lock:
                    if not self._turn.acquire(blocking=False):
                        self._waiting_threads -= 1
                        return

    def pass_turn(self, connection: Connection) -> None:
        """Let another thread accept, if the thread of `connection` has the turn."""
        with self._lock:
            if self._holder is not connection:
                return
            if self._waiting_threads:
                self._waiting_threads -= 1
                self._turn.release()
            else:
                try:
                    threading.Thread(target=self.accept_and_handle, daemon=True).start()
                except RuntimeError:  # there are too many: this one keeps the turn
                    return
            self._holder = None

    def watch(self) -> None:
        """Take the turn from threads that keep it too long. Nothing wakes this thread while there is nothing to do."""
        last_activity = time.monotonic()
        while True:
            connection = self._holder
            time.sleep(TURN_SECONDS)
            if connection is not None:
                last_activity = time.monotonic()
                self.pass_turn(connection)
            elif time.monotonic() > last_activity + 1:
                self._is_active.clear()
                if self._holder is None:
                    self._is_active.wait()
                last_activity = time.monotonic()

    def accept(self) -> Connection | None:
        """Return the next connection, or None if the server stops and the kernel has accepted no more."""
        while self._left_to_accept:
            if len(self._connections) >= MAX_CONNECTIONS:
                self.make_room()
                continue
            if self.is_stopping:
                self._left_to_accept -= 1
            try:
                connection = Connection(self, *self._listener.accept())
            except socket.timeout:
                continue
            except OSError as error:
                if self.is_stopping:
                    break
                logger.error("no connection can be accepted: %s", error.strerror)
                self.make_room()
                time.sleep(POLL_SECONDS)  # the connection still waits, and would be tried again at once
                continue
            self._connections[connection] = None
            return connection
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # also for a child process that holds it
        self._listener.close()
        self._is_closed.set()
        return None

    def abandon(self) -> None:
        """In a child process that a command forks: hold neither the port nor the connections, and no lock."""
        self._lock = threading.Lock()
        self.is_stopping = True
        self._left_to_accept = 0
        self._listener.close()
        for connection in list(self._connections):
            connection.sock.close()

    def make_room(self) -> None:
        """Close the oldest connection whose request is not complete, and wait a moment."""
        incomplete = [connection for connection in list(self._connections) if connection.state != "busy"]
        if incomplete:
            stop_reading(incomplete[0].sock)
        time.sleep(POLL_SECONDS / 10)

    def handle(self, connection: Connection) -> None:
        try:
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
            if self.tls:
                import_part("spiffproxy_tls").start(connection, self.tls)
            connection.handle()
        except OSError as error:
            logger.info("a client disconnected, was too slow, or did not speak TLS: %s", type(error).__name__)
        except Exception as error:
            log_frames(error, "the server raised %s", type(error).__name__)
        finally:
            del self._connections[connection]
            connection.close()

    def drain(self) -> None:
        """Accept nothing more, and wait until every connection with a request has its response."""
        self.is_stopping = True
        self._listener.settimeout(0)
        self._is_closed.wait()
        time.sleep(POLL_SECONDS)  # for requests that are on their way
        self.is_cutting = True
        for connection in list(self._connections):
            if connection.state in ("head", "rest"):
                stop_reading(connection.sock)
        while self._connections:
            time.sleep(POLL_SECONDS / 10)


def stop_reading(connection: socket.socket) -> None:
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RD)  # SSLSocket's would go on in plain text


# --- The built-in server: start and stop --------------------------------------------------------------------------


def open_listener(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except (OSError, TypeError, UnicodeError) as error:  # the last two for what cannot be the name of a host
        listener.close()
        raise SettingError(f"cannot listen on {host} port {port}: {error}") from None
    listener.settimeout(POLL_SECONDS)
    return listener


def serve(proxy: Proxy, log_request: Callable[[dict[str, Any]], None]) -> int:
    """Serve until a signal comes, finish the running calls, and return the exit status."""
    signals, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)  # a handler in Python runs only when the main thread wakes
    for name in "SIGTERM", "SIGINT", "SIGHUP":  # before anything listens
        number = getattr(signal, name, signal.SIGTERM)  # Windows has no SIGHUP
        if name != "SIGHUP" or signal.getsignal(number) != signal.SIG_IGN:  # which nohup has it ignore
            signal.signal(number, lambda *_: None)
    server = Server(proxy, log_request)
    log_start(server, proxy)
    for target in (server.accept_and_handle, server.watch):
        threading.Thread(target=target, daemon=True).start()
    first = os.read(signals, 1)
    threading.Thread(target=force_exit, args=(signals, first), daemon=True).start()  # first: the log may be stuck
    logger.info("stopping: running calls finish, within %s s; a signal after a second stops at once", STOP_SECONDS)
    server.drain()
    logger.info("stopped")
    return 0


forced_exit_hooks: list[Callable[[], None]] = []  # of parts whose work must not go on without this process


def force_exit(signals: int, first: bytes) -> None:
    """End the process at a second signal, or in the end. The same one within a second was sent to the group as well."""
    started = time.monotonic()
    while select.select([signals], [], [], max(started + STOP_SECONDS - time.monotonic(), 0))[0]:
        if os.read(signals, 1) != first or time.monotonic() > started + 1:
            break
    message = threading.Thread(
        target=logger.warning, args=("stopped before all running calls had finished",), daemon=True
    )
    with suppress(RuntimeError):  # from 3.12 on, no thread starts while the interpreter ends
        message.start()
        message.join(1)  # the log may be stuck
    for hook in forced_exit_hooks:
        hook()
    os._exit(1)


def log_start(server: Server, proxy: Proxy) -> None:
    settings = proxy.settings
    logger.info(
        "listening on %s://%s:%s; spiffproxy %s; connectors: %s; API key: %s; commands at once: %s",
        "https" if server.tls else "http",
        f"[{server.host}]" if ":" in server.host else server.host,
        server.port,
        __version__,
        ", ".join(connector.name for connector in proxy.connectors) or "none",
        "set" if settings.api_keys else "none",
        settings.max_running_commands,
    )
    if not settings.api_keys and not re.match(r"127\.|::1$", server.host):
        logger.warning("other hosts can run commands without a key; %s", SET_A_KEY)
    proxy.log_warnings()


# --- The command line ---------------------------------------------------------------------------------------------

# the options that stand for settings: --host for CONNECTOR_PROXY_HOST
OPTIONS = ["--connectors", "--config", "--host", "--port", "--threads", "--certfile", "--keyfile", "--log-format"]


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit status: 1 for a failure, 2 for a wrong argument or setting."""
    open_standard_streams()
    extend_sys_path([])
    out = sys.stdout
    if isinstance(out, io.TextIOWrapper):
        out.reconfigure(errors="backslashreplace")  # a terminal may not have all letters of what is printed
    flags: dict[str, str] = {}
    try:
        arguments = parse_arguments(sys.argv[1:] if argv is None else argv)
        flags = {name: value for name, value in vars(arguments).items() if name.isupper() and value is not None}
        with redirect_stdout(sys.stderr):  # what connectors print must not mix with the output
            return run_subcommand(arguments, {**os.environ, **flags}, out)
    except SettingError as error:
        message = str(error)
        for flag in OPTIONS:
            if setting_of(flag) in flags:
                message = message.replace(setting_of(flag), flag)
        print(f"spiffproxy: {message}", file=sys.stderr)
        return 2
    except ProxyError as error:
        print(f"spiffproxy: {error.message}", file=sys.stderr)
        return 2 if error.error_code == "part_missing" else 1
    except BrokenPipeError:  # `| head` has seen enough; Python would report it once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1


def open_standard_streams() -> None:
    """Open descriptors 0 to 2 if they are closed: else the next file or socket would become one of them."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def setting_of(flag: str) -> str:
    return "CONNECTOR_PROXY_" + flag[2:].upper().replace("-", "_")


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    """Parse options and arguments in any order; raise SettingError. An option has the name of its setting."""
    import argparse

    parser = argparse.ArgumentParser("spiffproxy", "%(prog)s [SUBCOMMAND] [ARGUMENT ...] [OPTION ...]", add_help=False)
    parser.add_argument("words", nargs="*")
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--version", action="version", version=__version__)
    for flag in OPTIONS:
        parser.add_argument(flag, dest=setting_of(flag), action="append" if flag == "--connectors" else "store")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--call", nargs="+")
    arguments, unknown = parser.parse_known_intermixed_args(argv)
    if unknown:
        suggestion = suggest_name(unknown[0], [*OPTIONS, "--help", "--version", "--verbose", "--json", "--call"])
        raise SettingError(f"{unknown[0]} is not an option{suggestion or '; --help lists them'}")
    folders = arguments.CONNECTOR_PROXY_CONNECTORS
    if folders:
        arguments.CONNECTOR_PROXY_CONNECTORS = os.pathsep.join(folders)
    return arguments


def run_subcommand(arguments: argparse.Namespace, environ: Mapping[str, str], out: typing.TextIO) -> int:
    is_plain = not (arguments.help or arguments.verbose or arguments.json or arguments.call)
    if is_plain and arguments.words in ([], ["serve"]):
        proxy = Proxy(environ)
        return serve(proxy, start_log(proxy.settings.log_format))
    try:
        part = import_part("spiffproxy_command_line")
    except ProxyError:
        if not is_plain or arguments.words != ["list"]:
            raise
        for entry in Proxy(environ).connectors.load_all("commands")[0]:
            print(f"  {summarize_entry(entry)}", file=out)
        return 0
    return part.run_subcommand(arguments, environ, out)


def summarize_entry(entry: Entry) -> str:
    parameters = [f"{one.name}{'*' if one.is_required else ''}: {one.type}" for one in entry.parameters]
    return f"{entry.id}({', '.join(parameters)})"


if __name__ == "__main__":
    # connectors and parts import this module as `spiffproxy`: a second copy would have another ProxyError, which no
    # `except` here would catch
    sys.modules["spiffproxy"] = sys.modules["__main__"]
    sys.exit(main())
