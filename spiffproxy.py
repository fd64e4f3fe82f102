"""A connector proxy for SpiffArena, in one module of Python's standard library.

    GET  /                              what this is
    GET  /liveness, /v1/liveness        {"ok": true}
    GET  /v1/commands                   the commands of every connector
    GET  /v1/auths                      what one can sign in to
    POST /v1/do/<connector>/<Command>   run a command
    GET  /v1/auth/<connector>/<Auth>    sign in, with a browser
    GET  /v1/typeahead/<category>       what a form suggests

`python spiffproxy.py` serves it; `spiffproxy:app` is the same for any WSGI server.
"""

from __future__ import annotations

import ast
import base64
import builtins
import enum
import errno
import functools
import hashlib
import hmac
import html
import importlib
import importlib.util
import inspect
import io
import json
import logging
import os
import pkgutil
import queue
import re
import select
import signal
import socket
import socketserver
import sys
import textwrap
import threading
import time
import traceback
import types
import typing
from collections import ChainMap
from collections.abc import Collection, Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import MISSING, InitVar, fields, is_dataclass
from http.client import HTTPException, responses
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, TypedDict
from urllib.parse import parse_qsl, quote, quote_plus, unquote, unquote_to_bytes, urlencode, urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.util import application_uri

if TYPE_CHECKING:
    import ssl
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment  # novm

    _Headers = list[tuple[str, str]]

__version__ = "0.1.0"
__all__ = ["Proxy", "app", "lambda_handler", "main"]

_logger = logging.getLogger("spiffproxy")

# --- Constants ----------------------------------------------------------------------------------------------------

# SpiffArena waits 15 s for a list, and 45 s for a command, which may have to be imported first
_LIST_SECONDS = 10
_IMPORT_SECONDS = 30

# what a client may take: for the head of its request (nginx: 60 s), for the body and for each 64 KiB of it, to fetch
# the answer, and to send on what nobody wants, which has to be read or the answer is lost to a reset (nginx: 30 s)
_HEAD_SECONDS = 20
_BODY_SECONDS = 20
_BODY_BYTES_PER_SECOND = 64 * 1024
_ANSWER_SECONDS = 60
_LINGER_SECONDS = 30

# http.client alone would take a head of 6 MB; an answer that has no more than this goes out in one send
_MAX_HEAD_BYTES = 256 * 1024
_SEND_BYTES = 64 * 1024

# the most connections at once, each with a thread; more wait in the kernel, which would drop them in a burst if it had
# no room (the standard server: 5)
_MAX_CONNECTIONS = 512
_BACKLOG = 1024

# commands that run at once leave connections for everything else
_MAX_THREADS = 448

# what a socket says that would have to wait; the last two are TLS's SSL_ERROR_WANT_READ and SSL_ERROR_WANT_WRITE
_NOT_YET = {errno.EAGAIN, 2, 3}

# until a thread without work ends; until the server sees that it is to stop; until what then runs has to be done,
# which SpiffArena does not wait for any longer
_IDLE_SECONDS = 10
_POLL_SECONDS = 0.2
_STOP_SECONDS = 45

# of a typeahead, however many a form asks for
_MAX_SUGGESTIONS = 1000

# a person may take this long to sign in; what a browser keeps of that (RFC 6265: 4096 bytes with its name); how long
# the provider may be silent, and how much it may say
_SIGN_IN_SECONDS = 600
_MAX_COOKIE = 3800
_TOKEN_SECONDS = 20
_MAX_TOKEN_BYTES = 1024**2

# what AWS Lambda takes as an answer, encoded as JSON
_LAMBDA_BYTES = 6 * 1024**2

# the statuses whose answers have no body (RFC 9110 section 6.4.1)
_NO_BODY = (204, 304)

_JSON = "application/json"


# --- Errors and replies -------------------------------------------------------------------------------------------


class _SettingError(ValueError):
    """A setting or an argument that makes no sense. The message is one line and names it."""


class _Refusal(Exception):
    """An error as the answer: its HTTP `status`, an `error_code` for boundary events, a `message` for people."""

    def __init__(self, status: int, error_code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.error_code = error_code
        self.message = message
        self.headers = headers or {}


class _Reply(NamedTuple):
    """An answer on its way out."""

    status: int
    body: bytes = b""
    content_type: str = _JSON
    headers: Mapping[str, str] = types.MappingProxyType({})
    error_code: str | None = None  # for the log

    def head(self) -> tuple[str, _Headers]:
        """Return the status and the headers, as WSGI has them."""
        headers = list(self.headers.items())
        if self.status not in _NO_BODY:
            headers += [("Content-Type", self.content_type), ("Content-Length", str(len(self.body)))]
        return f"{self.status} {responses.get(self.status, 'Unknown')}", headers


# RFC 8259 knows no NaN; and what is ASCII cannot arrive garbled
_encode = json.JSONEncoder(allow_nan=False).encode


def _encode_json(value: Any) -> bytes:
    """Raise TypeError, ValueError or RecursionError where `value` cannot be written as JSON."""
    return _encode(value).encode("ascii")


def _reply_to_refusal(refusal: _Refusal) -> _Reply:
    """Return the whole version 2 envelope that SpiffArena's backend needs to raise an error by its code."""
    envelope = {
        "command_response": {"body": None, "mimetype": _JSON},
        "command_response_version": 2,
        "error": {"error_code": refusal.error_code, "message": refusal.message},
        "spiff__logs": [],
    }
    return _Reply(refusal.status, _encode_json(envelope), headers=refusal.headers, error_code=refusal.error_code)


# --- Foreign code: what keeps it to itself ------------------------------------------------------------------------


class _StdoutToStderr:
    """While foreign code runs in any thread, what is printed goes to stderr: stdout may carry an answer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0

    def __enter__(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._stdout, sys.stdout = sys.stdout, sys.stderr

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                sys.stdout = self._stdout


_stdout_to_stderr = _StdoutToStderr()


@contextmanager
def _contain(name: str) -> Iterator[None]:
    """Run foreign code; raise a refusal, 500 with the name of its exception, where it raises whatever it may."""
    with _stdout_to_stderr:
        try:
            yield
        except BaseException as error:  # SystemExit, too
            error_code = type(error).__name__
            _log_frames(error, "%s raised %s", name, error_code)
            raise _Refusal(500, error_code, _exception_text(error)) from None


def _exception_text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # a foreign class, and its __str__ may do anything
        return ""


def _log_frames(error: BaseException, message: str, *arguments: object) -> None:
    """Log where an exception came from, and not its text: that may hold a parameter of the command."""
    _logger.error(message + "\n%s", *arguments, "".join(traceback.format_tb(error.__traceback__)).rstrip())


# --- Settings -----------------------------------------------------------------------------------------------------

# the proxy's own: no command sees them
_SECRETS = {"CONNECTOR_PROXY_API_KEY", "CONNECTOR_PROXY_API_KEY_FILE", "CONNECTOR_PROXY_SECRET_KEY"}

_OFF, _ON = ["off", "0", "false", "no"], ["on", "1", "true", "yes"]


class _Settings:
    """What the environment and the config file say; the environment wins. Raises `_SettingError`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        # container files write NAME=${NAME:-} for what is unset; a key alone has to be said clearly
        given = {name: value for name, value in environ.items() if value.strip() or name in _SECRETS}
        values = {**_read_config_file(_text(given, "CONNECTOR_PROXY_CONFIG")), **given}
        self.config = types.MappingProxyType({name: values[name] for name in values if name not in _SECRETS})
        self.host = _text(values, "CONNECTOR_PROXY_HOST", "127.0.0.1")
        self.port = _number(values, "CONNECTOR_PROXY_PORT", 7004, 0, 65535)
        self.threads = _number(values, "CONNECTOR_PROXY_THREADS", 64, 1, _MAX_THREADS)
        self.max_request_bytes = _number(values, "CONNECTOR_PROXY_MAX_REQUEST_BYTES", 32 * 1024**2, 1, 2**40)
        self.api_keys = _read_api_keys(values)
        self.cors_origins = set(map(_check_origin, _words(values, "CONNECTOR_PROXY_CORS_ORIGINS")))
        self.connectors = _read_folders(values)
        self.certfile = _text(values, "CONNECTOR_PROXY_CERTFILE")
        self.keyfile = _text(values, "CONNECTOR_PROXY_KEYFILE")
        if self.keyfile and not self.certfile:
            raise _SettingError("CONNECTOR_PROXY_KEYFILE is set, and CONNECTOR_PROXY_CERTFILE is not; HTTPS takes both")
        self.log_format = _choose(values, "CONNECTOR_PROXY_LOG_FORMAT", ["text", "json"])
        self.public_url = _text(values, "CONNECTOR_PROXY_PUBLIC_URL").rstrip("/")
        if self.public_url:
            _read_base("CONNECTOR_PROXY_PUBLIC_URL", self.public_url)
        self.secret_key = _read_secret(values, "CONNECTOR_PROXY_SECRET_KEY") or os.urandom(32)
        redirect_urls = "CONNECTOR_PROXY_AUTH_REDIRECT_URLS"
        self.auth_redirect_urls = [_read_base(redirect_urls, url) for url in _words(values, redirect_urls)]
        self.typeahead_public = _choose(values, "CONNECTOR_PROXY_TYPEAHEAD_PUBLIC", _OFF + _ON) in _ON
        # what the bundled connectors could not use is refused here, before a workflow meets it
        _check_seconds(values, "CONNECTOR_PROXY_HTTP_TIMEOUT")
        _check_seconds(values, "CONNECTOR_PROXY_SMTP_TIMEOUT")
        _check_seconds(values, "CONNECTOR_PROXY_POSTGRES_TIMEOUT")
        _number(values, "CONNECTOR_PROXY_HTTP_MAX_RESPONSE_BYTES", 64 * 1024**2, 1, 2**40)


def _text(values: Mapping[str, Any], name: str, default: str = "") -> str:
    value = values.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise _SettingError(f"{name} must be text or a number, not {type(value).__name__}")
    return str(value).strip() or default


def _words(values: Mapping[str, Any], name: str) -> list[str]:
    return _text(values, name).replace(",", " ").split()


def _check_seconds(values: Mapping[str, Any], name: str) -> None:
    text = _text(values, name, "40")
    if not re.fullmatch(r"[0-9]{1,5}(\.[0-9]+)?", text) or not float(text):
        raise _SettingError(f"{name} is {text!r}; it takes a number of seconds above 0")


def _number(values: Mapping[str, Any], name: str, default: int, lowest: int, highest: int) -> int:
    text = _text(values, name, str(default))
    if not re.fullmatch("[0-9]{1,18}", text) or not lowest <= int(text) <= highest:
        raise _SettingError(f"{name} is {text!r}; it takes a whole number from {lowest} to {highest}")
    return int(text)


def _read_config_file(path: str) -> dict[str, Any]:
    """Run the Python file at `path` and return its upper-case names, as Flask's `from_pyfile` does."""
    if not path:
        return {}
    try:
        source = Path(path).read_bytes()
    except OSError as error:
        raise _SettingError(f"CONNECTOR_PROXY_CONFIG: {error}") from None
    names: dict[str, Any] = {"__name__": "config", "__file__": path}
    try:
        with _stdout_to_stderr:
            exec(compile(source, path, "exec"), names)  # noqa: S102 - the operator's own file
    except (Exception, SystemExit) as error:
        # the text of the error is left out: it may hold what the file keeps secret
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
        line = lines[-1] if lines else getattr(error, "lineno", "?")
        raise _SettingError(f"CONNECTOR_PROXY_CONFIG: {path}, line {line}: {type(error).__name__}") from None
    return {name: value for name, value in names.items() if name.isupper()}


def _read_api_keys(values: Mapping[str, Any]) -> list[bytes]:
    """Return the key of the variable and those of the file, which holds one a line."""
    name = "CONNECTOR_PROXY_API_KEY_FILE"
    path = os.fsdecode(_read_secret(values, name))
    try:
        lines = Path(path).read_bytes().splitlines() if path else []
    except OSError as error:
        raise _SettingError(f"{name}: {error}") from None
    in_file = list(filter(None, map(bytes.strip, lines)))
    if path and not in_file:
        raise _SettingError(f"{name}: {path} holds no key; write one, or several, one a line")
    return [*filter(None, [_read_secret(values, "CONNECTOR_PROXY_API_KEY")]), *in_file]


def _read_secret(values: Mapping[str, Any], name: str) -> bytes:
    if name in values and not _text(values, name):
        raise _SettingError(f"{name} is set but empty; give it a value, or unset it to do without")
    return _text(values, name).encode("utf-8", "surrogateescape")


def _choose(values: Mapping[str, Any], name: str, choices: list[str]) -> str:
    """Return one of the choices; the first is the default."""
    is_bool = isinstance(values.get(name), bool)  # as a config file may have it
    text = str(values[name]).lower() if is_bool else _text(values, name, choices[0]).lower()
    if text not in choices:
        raise _SettingError(f"{name} is {text!r}; it may be {' or '.join(choices)}")
    return text


def _check_origin(origin: str) -> str:
    if origin != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^\s/?#]+", origin, re.IGNORECASE):
        name = "CONNECTOR_PROXY_CORS_ORIGINS"
        raise _SettingError(f"{name}: {origin!r} is no origin; write https://host or https://host:port, or *")
    return origin.lower()


def _read_place(url: str) -> tuple[Any, ...]:
    """Return scheme, host, port and each segment of the path: what is below a place begins with the same.

    Raises ValueError for what is no http or https URL, or what others might read in another way than we do.
    """
    parts = urlsplit(url)
    odd = re.search(r"[^!-~]|\\", url) or re.search(r"/\.\.|[\0-\x1f\x7f\\]", unquote(parts.path))
    if odd or "@" in parts.netloc:
        raise ValueError("it has user information, a backslash, .., a blank or another odd character")
    host_and_port = r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]*)?"
    if parts.scheme not in ("http", "https") or not re.fullmatch(host_and_port, parts.netloc, re.IGNORECASE):
        raise ValueError("it is no http or https URL")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return (parts.scheme, parts.hostname, port, *map(unquote, parts.path.rstrip("/").split("/")[1:]))


def _read_base(name: str, url: str) -> tuple[Any, ...]:
    try:
        if re.search("[?#;]", url):
            raise ValueError("it has more than scheme, host, port and path")
        return _read_place(url)
    except ValueError as error:
        raise _SettingError(f"{name}: {url!r} cannot be used: {error}") from None


def _read_folders(values: Mapping[str, Any]) -> list[str]:
    name = "CONNECTOR_PROXY_CONNECTORS"
    folders = [Path(folder).absolute() for folder in _text(values, name).split(os.pathsep) if folder.strip()]
    for folder in folders:
        if not folder.is_dir():
            raise _SettingError(f"{name}: there is no folder {folder}")
    return list(map(str, folders))


# --- Description: what a constructor takes ------------------------------------------------------------------------

# how SpiffArena's protocol calls a type; "None" stands for what admits none
_NAMED_TYPES = [("str", str), ("int", int), ("bool", bool), ("None", None), ("None", type(None))]
_UNION_TYPES = (typing.Union, getattr(types, "UnionType", typing.Union))
_ALIAS_TYPE: Any = getattr(typing, "TypeAliasType", ())
_WRAPPERS = [getattr(typing, name, typing.Annotated) for name in ("Annotated", "Required", "NotRequired", "ReadOnly")]


class _Parameter(TypedDict):
    """What `/v1/commands` says of it."""

    id: str
    type: str  # "str", "int", "bool" or "any"
    required: bool


class _Entry:
    """A command, an authentication or a typeahead: its class, and what the constructor of the class takes."""

    def __init__(self, entry_id: str, cls: type) -> None:
        self.id = entry_id
        self.cls = cls
        self.parameters: list[_Parameter] = []
        self.given: dict[str, inspect.Parameter] = {}  # the same, as Python has them
        self.positional_only: list[str] = []
        self.fallbacks: dict[str, Any] = {}  # what is passed for what a call leaves out and the class insists on
        self.takes_kwargs = False
        for parameter in _constructor_parameters(cls):
            if parameter.kind is parameter.VAR_KEYWORD:
                self.takes_kwargs = True
            elif parameter.kind is not parameter.VAR_POSITIONAL:
                self._add(parameter)
        # made once, so that binding costs a call no more than a few set operations
        self.names = {parameter["id"] for parameter in self.parameters}
        self.required = {parameter["id"] for parameter in self.parameters if parameter["required"]}
        # what the constructor calls the object or the class cannot be passed in **kwargs
        first = [*_parameters(getattr(cls, "__init__", None))[:1], *_parameters(cls.__new__)[:1]]
        self.own_names = {parameter.name for parameter in first if parameter.kind is parameter.POSITIONAL_OR_KEYWORD}

    def _add(self, parameter: inspect.Parameter) -> None:
        type_name, admits_none = _describe_annotation(parameter.annotation, self.cls)
        has_default = parameter.default is not parameter.empty
        if admits_none and not has_default:
            self.fallbacks[parameter.name] = None
        if parameter.kind is parameter.POSITIONAL_ONLY:
            self.positional_only.append(parameter.name)
            if has_default:  # the ones behind it cannot be passed without it
                self.fallbacks[parameter.name] = parameter.default
        required = not has_default and not admits_none
        self.parameters.append({"id": parameter.name, "type": type_name, "required": required})
        self.given[parameter.name] = parameter


def _constructor_parameters(cls: type) -> list[inspect.Parameter]:
    """Return them without `self`; none for a class that inherits the constructor of a builtin."""
    parameters = _parameters(cls)
    if [p.kind for p in parameters] == [inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD]:
        return _parameters(getattr(cls, "__init__", None))[1:]  # a `__new__` or metaclass passes everything on
    return parameters


def _parameters(function: Any) -> list[inspect.Parameter]:
    options: dict[str, Any] = {}
    if sys.version_info >= (3, 14):  # which evaluates annotations late, and fails on a name that is not there
        options["annotation_format"] = importlib.import_module("annotationlib").Format.FORWARDREF
    try:
        return list(inspect.signature(function, **options).parameters.values())
    except (TypeError, ValueError):
        return []


def _describe_annotation(annotation: Any, cls: type) -> tuple[str, bool]:
    """Return the protocol's name of a type, and whether the type admits None."""
    try:
        names = {_name_type(member) for member in _members(annotation, cls)}
    except Exception:  # an annotation that cannot be read spoils its own parameter alone
        return "any", False
    types_but_none = names - {"None"}
    return types_but_none.pop() if len(types_but_none) == 1 else "any", "None" in names


def _name_type(member: Any) -> str:
    return next((name for name, known in _NAMED_TYPES if member is known), "any")


def _members(annotation: Any, cls: type) -> Iterator[Any]:
    """Yield each type of a union, in whatever way the annotation spells it, or `_Unresolved` in its place."""
    if isinstance(annotation, str):
        meant = [_evaluate(operand, cls) for operand in _operands(ast.parse(annotation.strip(), mode="eval").body)]
    elif isinstance(annotation, typing.ForwardRef):
        meant = [annotation.__forward_arg__]
    elif isinstance(annotation, InitVar):
        meant = [annotation.type]
    elif isinstance(annotation, _ALIAS_TYPE):
        meant = [annotation.__value__]
    elif typing.get_origin(annotation) in _UNION_TYPES:
        meant = list(typing.get_args(annotation))
    elif typing.get_origin(annotation) in _WRAPPERS:
        meant = [typing.get_args(annotation)[0]]
    else:
        yield annotation
        return
    for one in meant:
        yield from _members(one, cls)


class _Unresolved(NamedTuple):
    """What an annotation kept as text has in the place of a type that is not there."""

    reason: str


def _operands(node: ast.expr) -> list[ast.expr]:
    """Return X and Y of `X | Y`, which 3.9 cannot evaluate, and of which either may be a name that is not there."""
    return [*_operands(node.left), *_operands(node.right)] if isinstance(node, ast.BinOp) else [node]


def _evaluate(node: ast.expr, cls: type) -> Any:
    """Return what an annotation kept as text means: first where the constructor was written."""
    scopes: list[Any] = [getattr(getattr(cls, "__init__", None), "__globals__", {}), vars(builtins)]
    for base in cls.__mro__:  # fields of a dataclass are inherited from other modules
        scopes += [vars(sys.modules[base.__module__]), vars(base)]
    code = compile(ast.Expression(node), "<annotation>", "eval")
    try:
        return eval(code, {}, ChainMap(*scopes))  # noqa: S307 - written by the author of the command
    except RecursionError:  # a type that refers to itself, where a branch is looked at after another, for ever
        raise
    except Exception as error:  # an unknown type, but one type of the union nonetheless
        return _Unresolved(_exception_text(error))


# --- Description: what is told beyond the protocol ----------------------------------------------------------------

# how a docstring begins what it says of one of them (Sphinx), or of several (Google, NumPy)
_DOCSTRING_WORDS = {
    **dict.fromkeys(["param", "parameter", "arg", "argument", "key", "keyword"], "parameters"),
    **dict.fromkeys(["parameters", "other parameters", "args", "arguments", "keyword args"], "parameters"),
    **dict.fromkeys(["keyword arguments", "attributes"], "parameters"),
    **dict.fromkeys(["raises", "raise", "except", "exception"], "errors"),
    **dict.fromkeys(["type", "returns", "return", "rtype", "yields"], "others"),
}

# a token that says where a list goes on, or a URL that gives tokens, is none
_SENSITIVE = (
    r"pass(word|wd|phrase)|pwd|(?<!page_)(?<!next_)(?<!continuation_)token(?!s|iz|_ur[il])|secret|credential"
    r"|authorization\b|(api|private)_?key|access_key(?!_id)|connection_str"
)
_SECRET_NAME = re.compile(_SENSITIVE, re.IGNORECASE)
# in the JSON of a default: a name like that of a secret with a text, or a URL with a password
_SECRET_IN_JSON = re.compile(rf'"[^"]*({_SENSITIVE})[^"]*": "[^"]|://[^/"]*:[^/"]+@', re.IGNORECASE)

# of objects within objects in a schema; one more makes it as many times larger as an object has fields
_MAX_SCHEMA_DEPTH = 4

# what JSON can bring, by the names of JSON Schema
_SCHEMA_TYPES: list[tuple[Any, str]] = [
    (str, "string"),
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (type(None), "null"),
]
_SCHEMA_TYPES += [(None, "null"), *((kind, "object") for kind in (dict, Mapping, MutableMapping))]
_SCHEMA_TYPES += [(kind, "array") for kind in (list, tuple, set, frozenset, Sequence, Collection, Iterable)]


def _tell(entry: _Entry) -> dict[str, Any]:
    """Return what is listed of an entry: the protocol's fields, and those of ours that have something to say.

    A parameter may have `description`, `default`, `schema` (JSON Schema 2020-12) and `secret`; the entry may have
    `description`, `deprecated` and `errors`, which maps codes to what they mean.
    """
    said = _Docstrings()
    with suppress(BaseException):  # docstrings and mappings are foreign code, and may be anything
        said.read(entry.cls)
    parameters = [
        {**listed, **_tell_parameter(listed, entry.given[listed["id"]], said, entry.cls)} for listed in entry.parameters
    ]
    deprecated = bool(re.search(r"(\A|\n\n)deprecated\b", said.prose, re.IGNORECASE))
    more = {"description": said.prose, "deprecated": deprecated, "errors": said.errors}
    return {"id": entry.id, "parameters": parameters, **{name: value for name, value in more.items() if value}}


def _tell_parameter(listed: _Parameter, parameter: inspect.Parameter, said: _Docstrings, cls: type) -> dict[str, Any]:
    is_secret = listed["type"] in ("str", "any") and bool(_SECRET_NAME.search(parameter.name))
    told: dict[str, Any] = {}
    if parameter.name in said.parameters:
        told["description"] = said.parameters[parameter.name]
    if parameter.default is not parameter.empty:
        with suppress(BaseException):  # where it is no JSON, or foreign code that fails
            text = _encode_json(parameter.default).decode()
            default = _decode_json(text)
            told.update({} if (is_secret and default) or _SECRET_IN_JSON.search(text) else {"default": default})
    with suppress(BaseException):  # where the annotation cannot be read, or refers to itself
        told.update({"schema": schema} if (schema := _schema(parameter.annotation, cls)) else {})
    return {**told, "secret": True} if is_secret else told


class _Docstrings:
    """What the docstrings of a class say: its prose, and of its parameters and the errors it answers with."""

    def __init__(self) -> None:
        self.prose = ""
        self.parameters: dict[str, str] = {}
        self.errors: dict[str, str] = {}

    def read(self, cls: type) -> None:
        """Read those of the class, its constructor and `execute`; what they leave out, base classes may say."""
        declared = getattr(cls, "errors", None)
        if isinstance(declared, Mapping):
            self.errors = {str(getattr(code, "value", code)): str(text) for code, text in declared.items()}
        for base in cls.__mro__[:-1]:
            for source in filter(None, (base, vars(base).get("__init__"), vars(base).get("execute"))):
                text = source.__doc__
                if isinstance(text, str) and not text.startswith(f"{base.__name__}("):  # as a dataclass makes its own
                    prose = self._read_one(text)
                    if base is cls and source is not vars(base).get("execute"):
                        self.prose = self.prose or prose

    def _read_one(self, text: str) -> str:
        """Keep what a docstring says, in the style of Sphinx, Google or NumPy, and return the rest of it."""
        text = inspect.cleandoc(text).replace(".. deprecated::", "Deprecated:")
        numpy = r"^(\w[\w ]*)\n-{3,}\n(.*?)(?=^\w[\w ]*\n-{3,}$|\Z)"
        text = re.sub(numpy, lambda found: f"{found[1]}:\n{textwrap.indent(found[2], '    ')}", text, flags=re.M | re.S)
        prose = []
        for block in re.split(r"(?m)^(?=\S)", text):
            head, _, body = block.partition("\n")
            field = re.match(r":(\w+)\s*([^:]*):(?!\S)", block)
            title = head[:-1].lower() if head.endswith(":") and body.strip() else ""
            if field and field[1] in _DOCSTRING_WORDS:
                self._keep(
                    field[1], [name.split()[-1] for name in field[2].split(",") if name.strip()], block[field.end() :]
                )
            elif title in _DOCSTRING_WORDS:
                for item in re.split(r"(?m)^(?=\S)", textwrap.dedent(body)):
                    # "name: text", "name (type): text" (Google); "name", "name : type", the text below (NumPy)
                    named = re.match(r"([\\*\w<>.-]+(?:, [\\*\w<>.-]+)*)(?: ?\(.*?\))?(?:: | : .*|:?$)", item, re.M)
                    if named:
                        self._keep(title, named[1].split(", "), item[named.end() :])
            else:
                prose.append(block)
        return "".join(prose).strip()

    def _keep(self, word: str, names: list[str], text: str) -> None:
        kept = {"parameters": self.parameters, "errors": self.errors}.get(_DOCSTRING_WORDS[word], {})
        for name in names if text.strip() else []:
            kept.setdefault(name.lstrip("\\*"), " ".join(text.split()))


def _schema(annotation: Any, cls: type, depth: int = 0) -> dict[str, Any]:
    """Return the JSON Schema of an annotation; {}, which admits everything, where it cannot be told.

    Raises RecursionError for classes within classes that go on, whose schema would have no end, or be too large.
    """
    if depth > _MAX_SCHEMA_DEPTH:
        raise RecursionError
    schemas: list[dict[str, Any]] = []
    for member in _members(annotation, cls):
        schema = _schema_of_type(member, cls, depth)
        if not schema:
            return {}
        if schema not in schemas:
            schemas.append(schema)
    if len(schemas) == 1:
        return schemas[0]
    if all(schema.keys() == {"type"} for schema in schemas):
        return {"type": [schema["type"] for schema in schemas]}
    return {"anyOf": schemas}


def _schema_of_type(kind: Any, cls: type, depth: int) -> dict[str, Any]:
    origin, arguments = typing.get_origin(kind) or kind, typing.get_args(kind)
    is_enum = isinstance(origin, type) and issubclass(origin, enum.Enum)
    if is_enum or origin is typing.Literal:
        values = [member.value for member in origin] if is_enum else list(arguments)
        _encode_json(values)  # which raises where they are none of JSON
        return {"enum": values}
    if hasattr(origin, "__required_keys__"):  # a TypedDict, which sees no NotRequired in what is kept as text
        annotations = origin.__annotations__
        required = [name for name in annotations if "NotRequired" not in str(annotations[name])]
        required = [name for name in required if name in origin.__required_keys__]
        return _schema_of_fields(annotations, required, origin, depth)
    if isinstance(origin, type) and is_dataclass(origin):
        taken = [field for field in fields(origin) if field.init]
        required = [field.name for field in taken if field.default is MISSING and field.default_factory is MISSING]
        return _schema_of_fields({field.name: field.type for field in taken}, required, origin, depth)
    name = next((name for known, name in _SCHEMA_TYPES if origin is known), "")
    parts = [_schema(argument, cls, depth) for argument in arguments if argument is not Ellipsis]
    if origin is tuple and parts and Ellipsis not in arguments:
        return {"type": name, "prefixItems": parts, "minItems": len(parts), "maxItems": len(parts)}
    within = {"object": "additionalProperties", "array": "items"}.get(name)
    if within and parts and parts[-1]:
        return {"type": name, within: parts[-1]}
    return {"type": name} if name else {}


def _schema_of_fields(annotations: Mapping[str, Any], required: list[str], cls: type, depth: int) -> dict[str, Any]:
    properties = {name: _schema(annotation, cls, depth + 1) for name, annotation in annotations.items()}
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


# --- Discovery: connectors, imported when they are asked for ------------------------------------------------------

# what a connector may have: the subpackage, and the method that makes a class one of its entries
_KINDS = {"commands": "execute", "auths": "app_description", "typeaheads": "execute"}


class _Connector:
    """A package `connector_<name>`, imported once, when it is first asked for.

    The import runs in a thread of its own: one that hangs holds up nobody who does not need it. What fails is kept
    as a failure, and the rest goes on.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.package = f"connector_{name}"
        self.entries: dict[str, dict[str, _Entry]] = {kind: {} for kind in _KINDS}
        self.failures: dict[str, str] = {}  # module → reason
        self.places: dict[str, str] = {}  # module → file and line of its failure
        self.lacks: list[str] = []  # what its package requires and is not installed, each with how to get it
        self.is_late = False  # its import goes on, and has been waited for in vain
        self.modules: dict[str, list[str]] = {kind: [] for kind in _KINDS}
        self._starting = threading.Lock()
        self._imported = threading.Event()
        self._import_thread = threading.Thread(target=self._import, daemon=True)

    def load(self, seconds: float) -> bool:
        """Import the connector unless that was done, and return whether it is done within `seconds`."""
        with self._starting:
            if not self._import_thread.ident:
                self._import_thread.start()
        return self._imported.is_set() or self._imported.wait(seconds)

    def has_failed(self, kind: str) -> bool:
        """Tell whether the package, its subpackage `kind`, or all of the modules in there failed."""
        modules = self.modules[kind]
        names = {self.package, f"{self.package}.{kind}"}
        return not names.isdisjoint(self.failures) or (bool(modules) and self.failures.keys() >= set(modules))

    def _import(self) -> None:
        with self._keep_failure(self.package):
            package = importlib.import_module(self.package)
            requires = getattr(package, "requires", None)
            for module, advice in requires.items() if isinstance(requires, dict) else ():
                if not _is_installed(module):
                    self.lacks.append(f"{self.package} needs {module}, which is not installed: {advice}")
            for kind in _KINDS:
                if (kind, True) in _submodules(package):
                    self._collect(kind)
        self._imported.set()

    def _collect(self, kind: str) -> None:
        """Import the modules of the subpackage `kind`, and keep the classes that have its method."""
        with self._keep_failure(f"{self.package}.{kind}"):
            subpackage = importlib.import_module(f"{self.package}.{kind}")
            for name, _ in _submodules(subpackage):
                module_name = f"{subpackage.__name__}.{name}"
                self.modules[kind].append(module_name)
                with self._keep_failure(module_name):
                    for cls in _find_classes(importlib.import_module(module_name)):
                        if callable(getattr(cls, _KINDS[kind], None)):
                            self._add(self.entries[kind], cls)

    def _add(self, entries: dict[str, _Entry], cls: type) -> None:
        entry = _Entry(f"{self.name}/{cls.__name__}", cls)
        if entries.setdefault(cls.__name__, entry) is not entry:
            first = entries[cls.__name__].cls.__module__
            _logger.warning("%s: the one of %s is left out, the one of %s is used", entry.id, cls.__module__, first)

    @contextmanager
    def _keep_failure(self, module_name: str) -> Iterator[None]:
        try:
            with _stdout_to_stderr:
                yield
        except BaseException as error:  # sys.exit() included
            self.failures[module_name] = f"{type(error).__name__}: {_exception_text(error)}"
            self.places[module_name] = _locate_failure(error, self.package)
            _logger.exception("%s cannot be imported and is left out", module_name)


def _is_installed(module: str) -> bool:
    try:
        return bool(importlib.util.find_spec(module))
    except ModuleNotFoundError:  # a package that it is in
        return False


def _submodules(package: types.ModuleType) -> list[tuple[str, bool]]:
    """Return the names of a package's modules, sorted, each with whether it is a package itself."""
    return sorted((module.name, module.ispkg) for module in pkgutil.iter_modules(package.__path__))


def _find_classes(module: types.ModuleType) -> list[type]:
    """Return the public, concrete classes that a module defines, by name."""
    classes = [
        cls
        for cls in dict.fromkeys(value for value in vars(module).values() if issubclass(type(value), type))
        if cls.__module__ == module.__name__
        and not cls.__name__.startswith("_")
        and not inspect.isabstract(cls)
        and not getattr(cls, "_is_protocol", False)
        and not issubclass(cls, (BaseException, enum.Enum))
    ]
    return sorted(classes, key=lambda cls: cls.__name__)


def _locate_failure(error: BaseException, package: str) -> str:
    """Return the file and line that an import failed in: the last one of the connector itself."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if package in Path(frame.filename).parts]
    return "".join(f"{frame.filename}:{frame.lineno}" for frame in (own or frames)[-1:])


class _Connectors:
    """Every connector that can be found: in the given folders, among what is installed, beside this module."""

    def __init__(self, first: Iterable[str]) -> None:
        _extend_sys_path(list(first))
        # by the names alone: pkgutil examines each module of an installation, which takes as long as all the rest; what
        # is no folder may be an archive
        folders = [folder for folder in sys.path if not Path(folder).is_dir() or any(Path(folder).glob("connector_*"))]
        packages = [module.name for module in pkgutil.iter_modules(folders) if module.ispkg]
        names = sorted(name[len("connector_") :] for name in packages if name.startswith("connector_"))
        self._by_name = {name: _Connector(name) for name in names}
        self._listings: dict[str, bytes] = {}

    def __iter__(self) -> Iterator[_Connector]:
        return iter(self._by_name.values())

    def find(self, kind: str, entry_id: str) -> _Entry:
        """Import what is needed to return an entry; raise a refusal that says what there is instead."""
        word = kind[:-1]
        connector_name, _, name = entry_id.partition("/")
        connector = self._by_name.get(connector_name)
        if connector is None:
            message = f"No connector {connector_name!r} here; {_name_all(self._by_name)}"
            raise _Refusal(404, f"{word}_not_found", message)
        if not connector.load(_IMPORT_SECONDS):
            reason = f"{connector.package} is still being imported, for more than {_IMPORT_SECONDS} s"
            raise _Refusal(503, "connector_unavailable", reason, {"Retry-After": "10"})
        entries = connector.entries[kind]
        if name in entries and connector.lacks:
            raise _Refusal(503, "connector_unavailable", "; ".join(connector.lacks))
        if name in entries:
            return entries[name]
        failures = [f"{module} cannot be imported: {reason}" for module, reason in connector.failures.items()]
        faults = "; ".join(["", *failures, *connector.lacks])
        if connector.has_failed(kind):
            message = f"The connector {connector_name!r} is broken{faults}. The proxy's log has the details."
            raise _Refusal(503, "connector_unavailable", message)
        message = f"The connector {connector_name!r} has no {word} {name!r}; {_name_all(entries)}{faults}"
        raise _Refusal(404, f"{word}_not_found", message)

    def list_entries(self, kind: str) -> bytes:
        """Return the JSON of `/v1/commands` or `/v1/auths`, made once, as soon as all connectors are imported."""
        if kind not in self._listings:
            self.load_all(kind)
            is_whole = not any(connector.is_late for connector in self)  # before the list is made, or it may lack one
            body = _encode_json([_tell(entry) for entry in self.load_all(kind)])
            if not is_whole:
                return body
            self._listings[kind] = body
        return self._listings[kind]

    def find_typeahead(self, category: str) -> _Entry:
        """Return the typeahead of a category, which is its attribute, or the name of its class in lower case."""
        categories: dict[str, _Entry] = {}
        for entry in self.load_all("typeaheads"):
            categories.setdefault(str(getattr(entry.cls, "category", entry.cls.__name__.lower())), entry)
        if category not in categories:
            raise _Refusal(404, "typeahead_not_found", f"No typeahead {category!r} here; {_name_all(categories)}")
        return categories[category]

    def load_all(self, kind: str) -> list[_Entry]:
        """Import all connectors, one after the other, and return the entries of those that are done.

        One that hangs has half of the time that is left, and is not waited for again.
        """
        deadline = time.monotonic() + _LIST_SECONDS
        entries: list[_Entry] = []
        for connector in self:
            if connector.load(0 if connector.is_late else max((deadline - time.monotonic()) / 2, 0.05)):
                connector.is_late = False
                entries += connector.entries[kind].values()
            elif not connector.is_late:
                connector.is_late = True
                _logger.warning("%s is still being imported, and not listed until then", connector.package)
        return entries


def _extend_sys_path(folders: list[str]) -> None:
    """Put `folders` in front, and what is bundled with this module behind all that is installed."""
    home = Path(__file__).absolute().parent
    bundled = str((home if home.is_dir() else home.parent) / "connectors")  # beside an archive that holds the module
    others = [entry for entry in sys.path if entry not in folders]
    if bundled not in others and Path(bundled).is_dir():
        others.append(bundled)
    sys.path[:] = folders + others


def _name_all(names: Iterable[str]) -> str:
    return f"there are: {', '.join(names)}" if names else "there are none"


# --- Execution ----------------------------------------------------------------------------------------------------


def _bind(entry: _Entry, values: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments of the constructor; raise a refusal that names what is missing or unknown."""
    missing = entry.required - values.keys()
    unknown = (values.keys() & entry.own_names if entry.takes_kwargs else values.keys()) - entry.names
    if missing or unknown:
        faults = {"missing": sorted(missing), "unknown": sorted(unknown)}
        found = "; ".join(f"{fault}: {', '.join(names)}" for fault, names in faults.items() if names)
        takes = ", ".join(parameter["id"] + " (required)" * parameter["required"] for parameter in entry.parameters)
        message = f"{entry.id}: {found}. It takes {takes or 'no parameters'}."
        raise _Refusal(400, "invalid_parameters", message)
    keywords = {**entry.fallbacks, **values}
    return [keywords.pop(name) for name in entry.positional_only], keywords


@contextmanager
def _occupy(slots: threading.Semaphore) -> Iterator[None]:
    if not slots.acquire(blocking=False):
        message = "As many commands are running as this proxy runs at once (CONNECTOR_PROXY_THREADS); try again."
        raise _Refusal(503, "too_busy", message, {"Retry-After": "1"})
    try:
        yield
    finally:
        slots.release()


def _execute(entry: _Entry, body: dict[str, Any], config: Mapping[str, Any], slots: threading.Semaphore) -> _Reply:
    """Run a command with the body of a service task's call, and return its result as SpiffArena reads it.

    Raises `_Refusal`: 400 for parameters that do not fit, 503 where `slots` has none left, 500 where the command
    raises or returns what is no result.
    """
    arguments, keywords = _bind(entry, {name: value for name, value in body.items() if not name.startswith("spiff__")})
    task_data, callback_url = body.get("spiff__task_data"), body.get("spiff__callback_url")
    if task_data is None:
        task_data = {}
    with _occupy(slots), _contain(entry.id):
        command = entry.cls(*arguments, **keywords)
        asynchronous = bool(callback_url) and callable(getattr(command, "execute_async", None))
        if asynchronous:
            result = command.execute_async(config, task_data, callback_url=callback_url)
        else:
            result = command.execute(config, task_data)
    with _check_result(entry.id):
        return _reply_to_result(result, asynchronous=asynchronous)


@contextmanager
def _check_result(name: str) -> Iterator[None]:
    try:
        with _stdout_to_stderr:
            yield
    except BaseException as error:  # mostly ours, but a result may be foreign code as well
        message = f"{name} returned no valid result: {_exception_text(error)}"
        raise _Refusal(500, "invalid_response", message) from None


def _suggest(entry: _Entry, query: Mapping[str, str], config: Mapping[str, Any], slots: threading.Semaphore) -> _Reply:
    """Return the list of objects that a typeahead finds; raise refusals as `_execute` does."""
    limit = query.get("limit", "100")
    digits = limit.lstrip("0")
    if not re.fullmatch("[0-9]+", digits):
        raise _Refusal(400, "invalid_parameters", f"limit is {limit[:20]!r}; it takes a whole number from 1")
    number = min(int(digits[:9]), _MAX_SUGGESTIONS)  # int() refuses more digits than 4300
    arguments, keywords = _bind(entry, {"prefix": query.get("prefix", ""), "limit": number})
    with _occupy(slots), _contain(entry.id):
        found = entry.cls(*arguments, **keywords).execute(config, {})
    with _check_result(entry.id):
        if not isinstance(found, list) or not all(isinstance(item, Mapping) for item in found):
            raise TypeError("it is no list of objects")
        return _Reply(200, _encode_json(list(map(dict, found))))


def _reply_to_result(result: Any, *, asynchronous: bool) -> _Reply:
    """Raise TypeError, ValueError or RecursionError where `result` is none that the protocol knows."""
    if not isinstance(result, Mapping):
        raise TypeError(f"it is no mapping, but of type {type(result).__name__}")
    version, error_code = _read_version(result), None
    if version > 1:
        result = _complete_envelope(result, version)
        error_code = result["error"] and result["error"]["error_code"]
    elif not asynchronous:
        return _reply_version_1(result)
    # 202 promises SpiffArena that the callback URL will be called
    return _Reply(202 if asynchronous else 200, _encode_json(dict(result)), error_code=error_code)


def _read_version(result: Mapping[str, Any]) -> float:
    version = result.get("command_response_version")
    if isinstance(version, str) and re.fullmatch(r"[0-9]{1,9}(\.0*)?", version.strip()):
        return int(float(version))
    return version if isinstance(version, (int, float)) else 1


def _complete_envelope(result: Mapping[str, Any], version: float) -> dict[str, Any]:
    """Return a version 2 envelope with what the command left out and SpiffArena's backend falls over."""
    response, error, logs = (result.get(key) for key in ("command_response", "error", "spiff__logs"))
    if error:
        error = _complete("error", error, {"error_code": "unspecified_error", "message": ""})
        error["error_code"] = str(error["error_code"])
    return {
        **result,
        "command_response_version": version,
        "command_response": _complete("command_response", response, {"body": None, "mimetype": _JSON}),
        "error": error or None,
        "spiff__logs": [] if logs is None else [logs] if isinstance(logs, str) else logs,
    }


def _complete(name: str, given: Any, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mapping `given` with the defaults of what it leaves out or has as null."""
    given = {} if given is None else given
    if not isinstance(given, Mapping):
        raise TypeError(f"its {name} is no mapping, but of type {type(given).__name__}")
    return {**given, **{key: default for key, default in defaults.items() if given.get(key) is None}}


def _reply_version_1(result: Mapping[str, Any]) -> _Reply:
    if "response" not in result:
        names = ", ".join(map(str, result))
        raise ValueError(f"it has no 'response' (nor a command_response_version of 2), only: {names}")
    result = _complete("result", result, {"status": 200, "mimetype": _JSON})
    status, mimetype = result["status"], result["mimetype"]
    if isinstance(status, str) and re.fullmatch("[0-9]{3}", status.strip()):
        status = int(status)
    if not isinstance(status, int) or not 200 <= status <= 599:
        raise ValueError(f"its status is {status!r}, and not within 200 to 599")
    if not isinstance(mimetype, str) or not re.fullmatch("[ -~]+", mimetype):
        raise ValueError(f"its mimetype is {mimetype!r}")
    mimetype = str.__str__(mimetype)  # which may be of an enumeration
    if mimetype.lower().startswith("text/") and "charset" not in mimetype.lower():
        mimetype += "; charset=utf-8"  # SpiffArena would read latin-1
    # a 202 would have SpiffArena wait for a callback that nobody was asked to make
    return _Reply(200 if status == 202 else int(status), _encode_response(result["response"]), mimetype)


def _encode_response(response: Any) -> bytes:
    if response is None:
        return b""
    if isinstance(response, str):
        return response.encode()
    if isinstance(response, bytes):
        return bytes(response)  # which may be of another class, and servers want this one
    return _encode_json(dict(response) if isinstance(response, Mapping) else response)


# --- Requests: header lines ---------------------------------------------------------------------------------------

# what no header line may contain (RFC 9110 section 5.5), a CR that does not end a line included; a tab may
_CONTROL = re.compile(r"[\0-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def parse_header_lines(block: bytes, *, strict: bool) -> list[tuple[str, str]]:
    """Return the names and values of header lines, as latin-1 (RFC 9112 section 5).

    `block` has whole lines, without the empty line that ends them. A server is strict: it raises ValueError for a
    line that is not a valid field line. A client reads what it can: control characters become blanks, a folded line
    continues the one before it, white space before the colon is removed, and a line that still is none is skipped.
    """
    text = block.decode("latin-1")
    if _CONTROL.search(text):
        if strict:
            raise ValueError("a header line contains a control character")
        text = _CONTROL.sub(" ", text)
    fields: list[tuple[str, str]] = []
    for line in text.split("\n"):
        name, colon, value = line.partition(":")
        if not strict:
            name = name.rstrip(" \t")
            if line[:1] in (" ", "\t") and fields:
                before, start = fields[-1]
                fields[-1] = (before, f"{start} {line.strip()}".strip())
                continue
        if colon and _TOKEN.fullmatch(name):
            fields.append((name, value.strip(" \t\r")))
        elif strict and line.strip("\r"):
            raise ValueError(f"{line[:80]!r} is not a header line")
    return fields


# --- Requests: the body of a call ---------------------------------------------------------------------------------


def _read_json(environ: WSGIEnvironment, limit: int) -> dict[str, Any]:
    """Return the JSON object that a request carries, `{}` where its body is empty.

    Raises `_Refusal`, in the order 415, 411 or 400 for the length, 413, 408 or 400 for the body.
    """
    media_type = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if media_type != _JSON:  # which a page in a browser cannot send to another site without asking (CORS)
        message = f"The content type is {media_type!r}; send the parameters as a JSON object, as Content-Type: {_JSON}"
        raise _Refusal(415, "unsupported_media_type", message)
    body = _read_body(environ["wsgi.input"], _read_length(environ, limit), limit)
    parameters = _parse_json(body) if body else {}
    if not isinstance(parameters, dict):
        message = f"The body must be a JSON object, not of type {type(parameters).__name__}"
        raise _Refusal(400, "invalid_json", message)
    return parameters


def _read_length(environ: WSGIEnvironment, limit: int) -> int | None:
    """Return the bytes of the body, or None where the server ends it by itself (`wsgi.input_terminated`)."""
    length = environ.get("CONTENT_LENGTH") or ""
    if not length or "HTTP_TRANSFER_ENCODING" in environ:
        if environ.get("wsgi.input_terminated"):
            return None
        raise _Refusal(411, "length_required", "Send a Content-Length, and no Transfer-Encoding")
    if not re.fullmatch("[0-9]+", length):
        message = f"The Content-Length is {length[:100]!r}, which is no plain number"
        raise _Refusal(400, "invalid_content_length", message)
    if len(length.lstrip("0")) > 18 or int(length) > limit:
        raise _refuse_size(limit)
    return int(length)


def _refuse_size(limit: int) -> _Refusal:
    message = f"The body has more than {limit} bytes, which is as much as CONNECTOR_PROXY_MAX_REQUEST_BYTES allows"
    return _Refusal(413, "request_too_large", message)


def _read_body(stream: Any, length: int | None, limit: int) -> bytes:
    wanted = limit + 1 if length is None else length
    parts = []
    try:
        while wanted and (part := stream.read(wanted)):
            parts.append(part)
            wanted -= len(part)
    except (TimeoutError, socket.timeout):  # two classes on 3.9
        raise _Refusal(408, "request_timeout", "The body did not arrive in time; send it again") from None
    except Exception as error:  # each server has its own for a client that is gone or sends nonsense
        raise _Refusal(400, "incomplete_request", f"The body cannot be read: {type(error).__name__}") from None
    if length is None and not wanted:
        raise _refuse_size(limit)
    if length is not None and wanted:
        raise _Refusal(400, "incomplete_request", f"The body ends after {length - wanted} of {length} bytes")
    return b"".join(parts)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON (RFC 8259)")


_decode_json = json.JSONDecoder(parse_constant=_refuse_constant).decode


def _parse_json(body: bytes) -> Any:
    try:
        text = body.decode().removeprefix("\ufeff")
        return _decode_json(text)
    except UnicodeDecodeError as error:
        message = f"it is not UTF-8 at byte {error.start}"
    except json.JSONDecodeError as error:
        message = str(error)
    except ValueError:
        # the decoder does not say where: outside of strings
        tokens = re.finditer(r'"[^"\\]*(?:\\.[^"\\]*)*"|(NaN|-?Infinity|(?<![0-9])[0-9]{4301})', text)
        position = next((token.start() for token in tokens if token[1]), 0)
        reason = "a number must be finite, and have no more than 4300 digits"
        message = str(json.JSONDecodeError(reason, text, position))
    except RecursionError:
        message = "it is nested too deeply"
    raise _Refusal(400, "invalid_json", f"The body is not JSON: {message}")


# --- Authentication: OAuth 2 with an authorization code (RFC 6749 section 4.1) and PKCE (RFC 7636) ----------------

# A person's browser is sent to the provider, comes back with a code, and is sent on with the tokens that the code
# is exchanged for. What the proxy has to know when it comes back lies in a cookie; `state`, which goes through the
# provider, is the signature of that cookie, and so tells neither the PKCE verifier nor where the tokens will go.


def _describe_app(entry: _Entry, config: Mapping[str, Any]) -> dict[str, str]:
    """Ask the connector; raise a refusal where what it says is not enough, or not of OAuth 2."""
    names = ["version", "client_id", "client_secret", "authorization_url", "access_token_url", "scope"]
    arguments, keywords = _bind(entry, {})
    with _contain(entry.id):
        description = entry.cls(*arguments, **keywords).app_description(config)
        app = {name: str(description.get(name) or "") for name in names}
    if app["version"] != "2":
        message = f"{entry.id} speaks version {app['version']!r} of OAuth; this proxy knows version '2' alone"
        raise _Refusal(501, "oauth_version_unsupported", message)
    url = re.compile(r"https?://[\w.:\[\]-]+([/?#][!-~]*)?", re.IGNORECASE | re.ASCII)
    if not (app["client_id"] and url.fullmatch(app["authorization_url"]) and url.fullmatch(app["access_token_url"])):
        message = f"{entry.id} names no client_id, authorization_url or access_token_url in its app_description"
        raise _Refusal(500, "invalid_auth", message)
    return app


def _begin_sign_in(entry: _Entry, environ: WSGIEnvironment, settings: _Settings) -> _Reply:
    """Send the browser to the provider; raise a refusal where the tokens may not be sent where it wants them."""
    redirect_url = _read_redirect_url(environ.get("QUERY_STRING", ""))
    _check_redirect_url(redirect_url, settings.auth_redirect_urls)
    app, callback = _describe_app(entry, settings.config), _callback(entry, environ, settings)
    verifier = _base64url(os.urandom(32))
    attempt = [entry.id, redirect_url, verifier, int(time.time()) + _SIGN_IN_SECONDS]
    cookie = _base64url(_encode_json(attempt))
    if len(cookie) > _MAX_COOKIE:
        raise _Refusal(400, "invalid_redirect_url", f"The redirect_url is too long: {len(redirect_url)} characters")
    state = _sign(cookie, settings.secret_key)
    query = {
        "response_type": "code",
        "client_id": app["client_id"],
        "redirect_uri": callback,
        "state": state,
        "code_challenge": _base64url(hashlib.sha256(verifier.encode()).digest()),
        "code_challenge_method": "S256",
    }
    if app["scope"]:
        query["scope"] = app["scope"]
    return _redirect(app["authorization_url"], query, _set_cookie(state, cookie, callback, _SIGN_IN_SECONDS))


def _end_sign_in(entry: _Entry, environ: WSGIEnvironment, settings: _Settings) -> _Reply:
    """Exchange the code that the browser brings for the token set, and send the browser on with that."""
    query = dict(parse_qsl(environ.get("QUERY_STRING", "")))
    state, callback = query.get("state", ""), _callback(entry, environ, settings)
    redirect_url, verifier = _read_attempt(environ, state, entry.id, settings.secret_key)
    _check_redirect_url(redirect_url, settings.auth_redirect_urls)
    if "code" not in query:
        words = _read_words(query) or "it gave no code, and no reason"
        raise _Refusal(400, "sign_in_refused", f"The provider has not signed you in: {words}")
    token_set = _fetch_token_set(_describe_app(entry, settings.config), query["code"], callback, verifier)
    return _redirect(redirect_url, {"response": json.dumps(token_set)}, _set_cookie(state, "", callback, 0))


def _callback(entry: _Entry, environ: WSGIEnvironment, settings: _Settings) -> str:
    base = settings.public_url or application_uri(environ).rstrip("/")
    try:
        _read_base("The Host header", base)
    except _SettingError as error:
        raise _Refusal(400, "bad_request", str(error)) from None
    return f"{base}/v1/auth/{quote(entry.id)}/callback"


def _read_redirect_url(query: str) -> str:
    """Return the URL, which SpiffArena's page puts there without escaping, a query of its own included."""
    url = query.partition("redirect_url=")[2]
    return url if "://" in url.partition("&")[0] else unquote(url.partition("&")[0])


def _check_redirect_url(url: str, places: list[tuple[Any, ...]]) -> None:
    """Raise a refusal where tokens may not be sent to a URL; it says no more than the host, for a URL has a token."""
    try:
        place = _read_place(url)
    except ValueError as error:
        raise _Refusal(400, "invalid_redirect_url", f"The redirect_url cannot be used: {error}") from None
    if not any(place[: len(allowed)] == allowed for allowed in places):
        name = "CONNECTOR_PROXY_AUTH_REDIRECT_URLS"
        reason = f"it is not within {name}" if places else f"{name} is unset"
        message = f"Tokens may not be sent to this redirect_url, on {place[1]}: {reason} (ask the operator)"
        raise _Refusal(403, "redirect_url_not_allowed", message)


def _read_attempt(environ: WSGIEnvironment, state: str, entry_id: str, key: bytes) -> tuple[str, str]:
    """Return redirect_url and verifier of the sign-in that comes back; raise a refusal where it is none of ours."""
    again = "Begin again where you began to sign in."
    match = re.fullmatch("[A-Za-z0-9_-]{43}", state) and re.search(
        rf"(?:^|[; ])spiffproxy_{state[:16]}=([A-Za-z0-9_-]+)", environ.get("HTTP_COOKIE", "")
    )
    if not match:
        raise _Refusal(400, "invalid_state", f"This browser has not begun to sign in here, or not lately. {again}")
    if not hmac.compare_digest(_sign(match[1], key), state):
        message = f"The state cannot be read; several workers need one CONNECTOR_PROXY_SECRET_KEY. {again}"
        raise _Refusal(400, "invalid_state", message)
    began_id, redirect_url, verifier, expires = json.loads(base64.urlsafe_b64decode(match[1] + "=="))
    if began_id != entry_id or expires < time.time():
        message = f"The sign-in took longer than {_SIGN_IN_SECONDS // 60} minutes, or was another one. {again}"
        raise _Refusal(400, "invalid_state", message)
    return redirect_url, verifier


def _fetch_token_set(app: dict[str, str], code: str, callback: str, verifier: str) -> dict[str, Any]:
    """Exchange the code for the token set; raise a refusal with the provider's words where there is none."""
    import urllib.request  # takes its time, and nothing else here needs it

    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": callback, "code_verifier": verifier}
    headers = {"Accept": _JSON, "User-Agent": f"spiffproxy/{__version__}"}
    if app["client_secret"]:  # RFC 6749 section 2.3.1: both are form-encoded first
        credentials = f"{quote_plus(app['client_id'])}:{quote_plus(app['client_secret'])}".encode()
        headers["Authorization"] = "Basic " + base64.b64encode(credentials).decode()
    else:
        form["client_id"] = app["client_id"]
    opener = urllib.request.OpenerDirector()  # without the handlers of redirects: code and secret go nowhere else
    for handler in urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler:
        opener.add_handler(handler())
    try:
        request = urllib.request.Request(app["access_token_url"], urlencode(form).encode(), headers)
        with opener.open(request, timeout=_TOKEN_SECONDS) as answer:
            body = answer.read(_MAX_TOKEN_BYTES + 1)
        if answer.length or len(body) > _MAX_TOKEN_BYTES:
            raise HTTPException(f"less than it announced, or more than {_MAX_TOKEN_BYTES} bytes")
    except (OSError, HTTPException, ValueError) as error:
        message = f"The provider's token endpoint gave no whole answer: {getattr(error, 'reason', error)}"
        raise _Refusal(502, "token_endpoint_failed", message) from None
    token_set = _parse_token_set(body.decode("utf-8", "replace").strip())
    if answer.status >= 300 or not token_set.get("access_token"):
        words = _read_words(token_set) or "no token, and no reason"
        raise _Refusal(502, "token_refused", f"The provider's token endpoint answered {answer.status}: {words}")
    return token_set


def _parse_token_set(text: str) -> dict[str, Any]:
    """Read JSON, or the form encoding that some providers answer with; nothing where it is neither."""
    try:
        token_set = _decode_json(text)
    except (ValueError, RecursionError):
        token_set = dict(parse_qsl(text)) if re.fullmatch(r"[^\s<>{}\"']+", text) else {}
    return token_set if isinstance(token_set, dict) else {}


def _read_words(answer: Mapping[str, Any]) -> str:
    """Return the error of a provider in its own words (RFC 6749 sections 4.1.2.1 and 5.2)."""
    words = [str(answer[name])[:300] for name in ("error", "error_description") if answer.get(name)]
    return re.sub(r"[\x00-\x1f\x7f]+", " ", ": ".join(words))


def _redirect(url: str, query: Mapping[str, str], cookie: str) -> _Reply:
    url, hash_sign, fragment = url.partition("#")
    location = f"{url}{'&' if '?' in url else '?'}{urlencode(query, quote_via=quote)}{hash_sign}{fragment}"
    secrecy = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return _Reply(302, b"", "text/plain", {"Location": location, "Set-Cookie": cookie, **secrecy})


def _set_cookie(state: str, value: str, callback: str, seconds: int) -> str:
    """Return a cookie for one sign-in, so that two tabs can do it at once, and for its callback alone."""
    scheme, _, path, _, _ = urlsplit(callback)
    secure = "; Secure" if scheme == "https" else ""
    return f"spiffproxy_{state[:16]}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"


def _sign(text: str, key: bytes) -> str:
    return _base64url(hmac.digest(key, text.encode(), "sha256"))


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def _answer_refusal(refusal: _Refusal, environ: WSGIEnvironment) -> _Reply:
    """Return an error as SpiffArena reads it, or as a page where a person signs in with a browser."""
    reply = _reply_to_refusal(refusal)
    is_sign_in = re.match("/*v1/+auth/", environ.get("PATH_INFO", ""))
    if not is_sign_in or "text/html" not in environ.get("HTTP_ACCEPT", "").lower():
        return reply
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Not signed in</title><h1>Not signed in</h1>'
        f"<p>{html.escape(refusal.message)}</p><p><code>{html.escape(refusal.error_code)}</code></p></html>"
    )
    octets = page.encode("ascii", "xmlcharrefreplace")  # a message may hold half of a surrogate pair
    return reply._replace(body=octets, content_type="text/html; charset=utf-8")


# --- The application ----------------------------------------------------------------------------------------------


class Proxy:
    """The connector proxy, a WSGI application (PEP 3333).

    Its settings are read from `environ`, a mapping shaped like `os.environ`, which is the default. Raises ValueError,
    with one line that names the setting, where one makes no sense. Between requests it keeps nothing but the
    connectors that it has imported.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._settings = _Settings(os.environ if environ is None else environ)
        self._connectors = _Connectors(self._settings.connectors)
        self._slots = threading.BoundedSemaphore(self._settings.threads)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request; whatever happens, with something that SpiffArena can read."""
        try:
            reply = self._answer(environ)
        except _Refusal as refusal:
            reply = _answer_refusal(refusal, environ)
        except Exception as error:
            _log_frames(error, "the proxy itself raised %s", type(error).__name__)
            reply = _reply_to_refusal(_Refusal(500, "internal_error", "The proxy has a fault; its log says where."))
        if reply.error_code:
            environ.get("spiffproxy.log", {})["error_code"] = reply.error_code
        status, headers = reply.head()
        start_response(status, headers + self._allow_origin(environ, reply))
        return [] if reply.status in _NO_BODY or environ["REQUEST_METHOD"] == "HEAD" else [reply.body]

    def _answer(self, environ: WSGIEnvironment) -> _Reply:
        """Find the route and hand over to it; refuse in the order of SpiffArena's protocol."""
        path = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace")
        segments = [segment for segment in path.split("/") if segment]  # a base URL may end in a slash
        names = segments[2:4]  # a connector and what it has, or a category
        route = _ROUTES.get("/".join(segments[:2] + ["*"] * len(names) + segments[4:]))
        if route is None:
            message = f"No such path: {path[:200]!r}. There are /v1/commands, /v1/auths, /v1/do/<connector>/<Command>"
            raise _Refusal(404, "not_found", message)
        allow = {"Allow": ", ".join(route.methods)}
        method = environ["REQUEST_METHOD"]
        if method == "OPTIONS":
            return _Reply(204, headers=allow)
        is_public = names and segments[1] == "typeahead" and self._settings.typeahead_public
        if route.guarded and not is_public and not self._has_key(environ):
            return _Reply(401, _encode_json({"error": "Unauthorized"}))
        if method not in route.methods:
            raise _Refusal(405, "method_not_allowed", f"This path takes {allow['Allow']}, not {method[:20]}", allow)
        return route.answer(self, environ, "/".join(names))

    def _has_key(self, environ: WSGIEnvironment) -> bool:
        """Compare the key that was sent with each of ours, as bytes and in constant time."""
        keys = self._settings.api_keys
        if not keys:
            return True
        sent = environ.get("HTTP_SPIFF_CONNECTOR_PROXY_API_KEY", "")
        # beyond ASCII, Python's clients send latin-1 and others UTF-8
        forms = sent.encode("latin-1", "replace"), sent.encode("utf-8", "replace")
        return any([hmac.compare_digest(form, key) for key in keys for form in forms])  # noqa: C419 - all are compared

    def _allow_origin(self, environ: WSGIEnvironment, reply: _Reply) -> _Headers:
        """Return the CORS headers, for pages of the listed origins."""
        origin, listed = environ.get("HTTP_ORIGIN", ""), self._settings.cors_origins
        is_listed = origin.lower() in listed or ("*" in listed and re.fullmatch("[!-~]+", origin))
        if not is_listed or not environ.get("PATH_INFO", "").lstrip("/").startswith("v1/"):
            return []
        headers = [("Access-Control-Allow-Origin", origin), ("Vary", "Origin")]
        if environ["REQUEST_METHOD"] == "OPTIONS" and "Allow" in reply.headers:
            headers += [
                ("Access-Control-Allow-Methods", reply.headers["Allow"]),
                ("Access-Control-Allow-Headers", "Content-Type, Spiff-Connector-Proxy-Api-Key"),
            ]
        return headers

    def _show_index(self, environ: WSGIEnvironment, _: str) -> _Reply:
        text = f"A connector proxy for SpiffArena. Its commands: {environ.get('SCRIPT_NAME', '')}/v1/commands\n"
        return _Reply(200, text.encode("latin-1"), "text/plain; charset=utf-8")  # the octets of WSGI

    def _suggest(self, environ: WSGIEnvironment, category: str) -> _Reply:
        query = dict(parse_qsl(environ.get("QUERY_STRING", "")))
        return _suggest(self._connectors.find_typeahead(category), query, self._settings.config, self._slots)

    def _begin_sign_in(self, environ: WSGIEnvironment, auth_id: str) -> _Reply:
        return _begin_sign_in(self._connectors.find("auths", auth_id), environ, self._settings)

    def _end_sign_in(self, environ: WSGIEnvironment, auth_id: str) -> _Reply:
        return _end_sign_in(self._connectors.find("auths", auth_id), environ, self._settings)

    def _do(self, environ: WSGIEnvironment, command_id: str) -> _Reply:
        environ.get("spiffproxy.log", {})["command"] = command_id  # the built-in server's
        return self._run(command_id, _read_json(environ, self._settings.max_request_bytes))

    def _run(self, command_id: str, body: dict[str, Any]) -> _Reply:
        command = self._connectors.find("commands", command_id)
        return _execute(command, body, self._settings.config, self._slots)


class _Route(NamedTuple):
    methods: tuple[str, ...]
    answer: Callable[[Proxy, WSGIEnvironment, str], _Reply]
    guarded: bool = False  # asks for the key


_ALIVE = _Reply(200, b'{"ok": true}')
_GET, _POST = ("GET", "HEAD", "OPTIONS"), ("POST", "OPTIONS")
_ROUTES = {
    "": _Route(_GET, Proxy._show_index),
    "liveness": _Route(_GET, lambda *_: _ALIVE),
    "v1/liveness": _Route(_GET, lambda *_: _ALIVE),
    "v1/commands": _Route(
        _GET, lambda proxy, *_: _Reply(200, proxy._connectors.list_entries("commands")), guarded=True
    ),
    "v1/auths": _Route(_GET, lambda proxy, *_: _Reply(200, proxy._connectors.list_entries("auths")), guarded=True),
    "v1/do/*/*": _Route(_POST, Proxy._do, guarded=True),
    "v1/typeahead/*": _Route(_GET, Proxy._suggest, guarded=True),
    "v1/auth/*/*": _Route(("GET", "OPTIONS"), Proxy._begin_sign_in),  # a browser follows it, and has no key
    "v1/auth/*/*/callback": _Route(("GET", "OPTIONS"), Proxy._end_sign_in),
}

app: Proxy


@functools.cache
def _get_app() -> Proxy:
    return Proxy()


def __getattr__(name: str) -> Any:
    """Make `spiffproxy.app` from the environment when it is first asked for (PEP 562)."""
    if name == "app":
        return _get_app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _call_application(application: WSGIApplication, environ: WSGIEnvironment) -> tuple[str, _Headers, bytes]:
    """Add to `environ` what is the same for each request (PEP 3333); return status, headers and body of the answer."""
    started: list[Any] = []

    def start_response(status: str, headers: _Headers, exc_info: Any = None) -> Any:
        started[:] = status, headers

    environ = {
        **environ,
        "wsgi.version": (1, 0),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    body = b"".join(application(environ, start_response))
    return started[0], started[1], body


# --- AWS Lambda ---------------------------------------------------------------------------------------------------


def lambda_handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer an event of AWS Lambda: of a function URL or an HTTP API (payload format 2.0), of a REST API or a load
    balancer (1.0), or one as bare as `{"rawPath": "/"}`. Return what Lambda makes an HTTP answer of.
    """
    event = event if isinstance(event, dict) else {}
    try:
        environ = _environ_from_event(event)
    except (AttributeError, TypeError, ValueError) as error:
        refusal = _Refusal(400, "bad_request", f"The event cannot be read as a request: {error}")
        return _answer_from_refusal(event, refusal)
    status, headers, body = _call_application(_get_app(), environ)
    answer = _answer_from_reply(event, status, headers, body)
    if len(body) > _LAMBDA_BYTES // 6 and len(json.dumps(answer)) > _LAMBDA_BYTES:  # an escape takes up to six bytes
        message = f"The answer has {len(body)} bytes, and AWS Lambda lets no more than 6 MB pass, as it encodes them"
        return _answer_from_refusal(event, _Refusal(413, "response_too_large", message))
    return answer


def _environ_from_event(event: Mapping[str, Any]) -> WSGIEnvironment:
    """Return the request of an event as PEP 3333 has it."""
    context = event.get("requestContext") or {}
    http = context.get("http") or {}
    headers = _headers_from_event(event)
    body = event.get("body") or ""
    octets = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
    script_name, path = _paths_from_event(event, context)
    environ = {
        "REQUEST_METHOD": http.get("method") or event.get("httpMethod") or "GET",
        "SCRIPT_NAME": unquote_to_bytes(script_name).decode("latin-1"),  # as PEP 3333 has it: an octet is a letter
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": _query_from_event(event, context),
        "SERVER_NAME": "localhost",  # where there is no Host
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http" if headers.get("x-forwarded-proto") == "http" else "https",
        "wsgi.input": io.BytesIO(octets),
    }
    environ.update({f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()})
    environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE", "")
    for name in "HTTP_CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING":  # the body is here, whole
        environ.pop(name, None)
    environ["CONTENT_LENGTH"] = str(len(octets))
    return environ


def _headers_from_event(event: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers by name in lower case, repeated ones in one."""
    many = event.get("multiValueHeaders") or {name: [text] for name, text in (event.get("headers") or {}).items()}
    joined = {name.lower(): ("; " if name.lower() == "cookie" else ", ").join(texts) for name, texts in many.items()}
    if event.get("cookies"):
        joined["cookie"] = "; ".join(event["cookies"])
    return {name: text.encode().decode("latin-1") for name, text in joined.items()}


def _paths_from_event(event: Mapping[str, Any], context: Mapping[str, Any]) -> tuple[str, str]:
    """Return SCRIPT_NAME, which is a named stage or the base path of a custom domain, and PATH_INFO behind it."""
    path = "/" + (event.get("rawPath") or event.get("path") or "").lstrip("/")
    whole = context.get("path") or path  # where a REST API has its stage
    rest, stage = (event.get("pathParameters") or {}).get("proxy"), f"/{context.get('stage')}"
    if event.get("resource") == "/":
        path = "/"
    elif rest and path.endswith(f"/{rest}"):  # of the route /{proxy+}
        path = f"/{rest}"
    elif ("rawPath" in event or "version" in event) and f"{path}/".startswith(f"{stage}/"):  # an HTTP API's
        path = path[len(stage) :] or "/"
    return whole.removesuffix(path) if path == "/" or whole.endswith(path) else "", path


def _query_from_event(event: Mapping[str, Any], context: Mapping[str, Any]) -> str:
    if "rawQueryString" in event:
        return str(event["rawQueryString"])
    single = event.get("queryStringParameters") or {}
    many = event.get("multiValueQueryStringParameters") or {name: [value] for name, value in single.items()}
    pairs = [(name, value) for name, values in many.items() for value in values]
    if "elb" in context:  # a load balancer leaves them encoded
        return "&".join(f"{name}={value}" for name, value in pairs)
    return urlencode(pairs)


def _answer_from_reply(event: Mapping[str, Any], status: str, headers: _Headers, body: bytes) -> dict[str, Any]:
    """Return the answer in the format of the event; base64 only for what is not UTF-8."""
    try:
        text, is_base64 = body.decode(), False
    except UnicodeDecodeError:
        text, is_base64 = base64.b64encode(body).decode(), True
    answer: dict[str, Any] = {"statusCode": int(status[:3]), "body": text, "isBase64Encoded": is_base64}
    if "httpMethod" in event and "resource" not in event:  # a load balancer; for a REST API it would be malformed
        answer["statusDescription"] = status
    if "multiValueHeaders" in event:
        return {**answer, "multiValueHeaders": {name: [value] for name, value in headers}}
    if "httpMethod" in event:
        return {**answer, "headers": dict(headers)}
    cookies = [value for name, value in headers if name == "Set-Cookie"]
    return {**answer, "headers": {k: v for k, v in headers if k != "Set-Cookie"}, "cookies": cookies}


def _answer_from_refusal(event: Mapping[str, Any], refusal: _Refusal) -> dict[str, Any]:
    reply = _reply_to_refusal(refusal)
    return _answer_from_reply(event, *reply.head(), reply.body)


# --- The built-in server: the conversation with one client --------------------------------------------------------


class _Stream(io.RawIOBase):
    """The socket of a client. What is read and written ends by a deadline, in however many pieces it goes."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._head_bytes = 0
        self.is_in_head = True
        self.allow(_HEAD_SECONDS)

    def allow(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._try(self._sock.recv_into, buffer)
        if self.is_in_head:
            if self._head_bytes and not count:
                raise ConnectionAbortedError  # half a head, which the standard parser would take for a whole one
            self._head_bytes += count
            if self._head_bytes > _MAX_HEAD_BYTES:
                raise HTTPException("the head is too large")
        return count

    def write(self, data: Any) -> int:
        return self._try(self._sock.send, data)

    def _try(self, operation: Callable[[Any], int], data: Any) -> int:
        """Do it at once where that can be; a socket with a timeout waits first, and lets other threads go before."""
        seconds = self._deadline - time.monotonic()
        if seconds <= 0:
            raise socket.timeout  # the class that sockets raise, on 3.9 too
        self._sock.settimeout(0)
        try:
            return operation(data)
        except OSError as error:
            if error.errno not in _NOT_YET:
                raise
        self._sock.settimeout(seconds)
        return operation(data)


class _RequestHandler(WSGIRequestHandler):
    """The conversation with one client: one request, one answer, one line in the log."""

    protocol_version = "HTTP/1.1"  # for `Expect: 100-continue`
    command = path = ""
    body_left = sys.maxsize  # until the head says more
    is_body_invited = False
    server: _Server

    def setup(self) -> None:
        self.connection = self.request
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self.started = time.perf_counter()
        self.stream = _Stream(self.request)
        self.rfile = io.BufferedReader(self.stream)
        self.wfile = io.BufferedWriter(self.stream, _SEND_BYTES)  # one send for the headers and most bodies
        self.notes: dict[str, str] = {}

    def handle(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if self.raw_requestline in (b"\r\n", b"\n"):  # RFC 9112 section 2.2
            self.raw_requestline = self.rfile.readline(65537)
        if len(self.raw_requestline) > 65536:
            self.send_error(414)
        elif self.parse_request():
            self.stream.is_in_head = False
            self.server.hold(self.request)
            if self.request_version == "HTTP/0.9":  # whose answers have no status
                self.send_error(505)
            else:
                self._send(*_call_application(self.server.application, self.get_environ()))
        if self.body_left and "undelivered" not in self.notes:
            self._linger()

    def _send(self, status: str, headers: _Headers, body: bytes) -> None:
        self.stream.allow(_ANSWER_SECONDS)
        self.send_response_only(int(status[:3]), status[4:])
        own = [("Date", self.date_time_string()), ("Server", "spiffproxy"), ("Connection", "close")]
        for name, value in [*own, *headers]:
            self.send_header(name, value)
        try:
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()
        except OSError as error:
            self.notes["undelivered"] = f"undelivered:{type(error).__name__}"
        self.log_request(status[:3], len(body))

    def _linger(self) -> None:
        """Read what the client still sends: to close before that resets the connection, and the answer is lost."""
        self.server.hold_loosely(self.request)
        self.stream.is_in_head = False
        self.stream.allow(_LINGER_SECONDS)
        buffer = memoryview(bytearray(65536))
        with suppress(OSError):  # a client that is gone has its answer, or will never have it
            socket.socket.shutdown(self.request, socket.SHUT_WR)  # SSLSocket's would end the decryption, too
            while self.body_left and (count := self.rfile.readinto1(buffer[: self.body_left])):
                self.body_left -= count

    def finish(self) -> None:
        with suppress(OSError):  # the parent tries once more to send what could not be sent
            super().finish()

    def handle_expect_100(self) -> bool:
        """Do not bid the client send its body before anybody has looked at the head: see `read`."""
        return True

    def read(self, size: int) -> bytes:
        """Read the body, as `wsgi.input`: it ends where its length says, and its clock starts when it is read."""
        if not self.is_body_invited:
            self.is_body_invited = True
            self.stream.allow(_BODY_SECONDS + self.body_left / _BODY_BYTES_PER_SECOND)
            if self.headers.get("Expect", "").lower() == "100-continue" and self.request_version == "HTTP/1.1":
                self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                self.wfile.flush()
        try:
            part = self.rfile.read(min(size, self.body_left))
        except socket.timeout:
            self.body_left = 0  # for there is nothing to wait for any longer
            raise
        self.body_left -= len(part)
        return part

    def get_environ(self) -> WSGIEnvironment:
        self.path = self._path_and_query()
        environ = super().get_environ()
        if "content-type" not in self.headers:
            del environ["CONTENT_TYPE"]  # the parent makes one up
        environ["CONTENT_LENGTH"] = ", ".join(self.headers.get_all("content-length", []))  # it takes one of several
        length = environ["CONTENT_LENGTH"] or "0"
        is_plain = re.fullmatch("[0-9]{1,18}", length) and "HTTP_TRANSFER_ENCODING" not in environ
        self.body_left = int(length) if is_plain else sys.maxsize  # as many bytes as come
        scheme = "https" if self.server.tls else "http"
        return {**environ, "spiffproxy.log": self.notes, "wsgi.url_scheme": scheme, "wsgi.input": self}

    def _path_and_query(self) -> str:
        """Return the target without the host, user and password that it may begin with (RFC 9112 section 3.2.2)."""
        return re.sub("^https?://[^/?]*", "", self.path, flags=re.IGNORECASE)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what is no HTTP; the standard `message` is left out, since it repeats what the client sent."""
        reply = _reply_to_refusal(_Refusal(code, "bad_request", f"This is no request: {responses[code]}"))
        self.request_version = "HTTP/1.1"  # which a request that cannot be read has not set
        self._send(*reply.head(), b"" if self.command == "HEAD" else reply.body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        path = self._path_and_query().partition("?")[0]
        line = {
            "method": _quote_for_log(self.command or "-"),
            "path": _quote_for_log(path) if path.startswith("/") else "-",
            "status": int(code),
            "bytes": size,
            "milliseconds": round((time.perf_counter() - self.started) * 1000, 1),
            **{name: _quote_for_log(note) for name, note in self.notes.items()},
        }
        more = "".join(f" %({name})s" for name in self.notes)
        _logger.info("%(method)s %(path)s %(status)s %(bytes)s %(milliseconds)s ms" + more, line)


def _quote_for_log(text: str) -> str:
    return quote(text[:500], safe="/%:@!$&'()*+,;=~", errors="replace")


# --- The built-in server: threads, signals, start and stop --------------------------------------------------------


class _Server(WSGIServer):
    """The standard WSGI server, with a thread for each connection that is used again for the next."""

    request_queue_size = _BACKLOG

    def __init__(self, settings: _Settings, application: WSGIApplication) -> None:
        self.address_family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        self.tls = _read_certificate(settings.certfile, settings.keyfile) if settings.certfile else None
        self._places = threading.Semaphore(_MAX_CONNECTIONS)
        self._accepted: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)  # threads that no connection has been accepted for
        self._loose: set[socket.socket] = set()  # connections without a request that is to be answered
        self._loose_lock = threading.Lock()
        self._is_stopping = self._is_cutting = False
        super().__init__((settings.host, settings.port), _RequestHandler)
        self.application: WSGIApplication = application

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # and not HTTPServer's, which asks DNS for our name
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def get_request(self) -> tuple[Any, Any]:
        while not self._places.acquire(timeout=_POLL_SECONDS):
            if self._is_stopping:
                raise ConnectionAbortedError
        try:
            return super().get_request()
        except OSError as error:
            self._places.release()
            if error.errno in (errno.EMFILE, errno.ENFILE):
                _logger.error("no connection can be accepted: %s", error.strerror)
                time.sleep(_POLL_SECONDS)  # the connection still waits, and would be tried again at once
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._idle.acquire(blocking=False):
            threading.Thread(target=self._work, daemon=True).start()
        self._accepted.put((request, client_address))

    def _work(self) -> None:
        while True:
            try:
                connection = self._accepted.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                if self._idle.acquire(blocking=False):
                    return
                continue  # a connection is on its way to this thread
            self._converse(*connection)
            self._idle.release()

    def _converse(self, request: Any, client_address: Any) -> None:
        try:
            if self.tls:
                request = self.tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
            self.hold_loosely(request)
            if self.tls:
                request.settimeout(_HEAD_SECONDS)
                request.do_handshake()
            self.finish_request(request, client_address)
        except Exception:
            self.handle_error(request, client_address)
        finally:
            self.hold(request)
            self.close_request(request)

    def hold_loosely(self, connection: socket.socket) -> None:
        """Let a connection go when the server stops."""
        with self._loose_lock:
            self._loose.add(connection)
            if self._is_cutting:
                _cut(connection)

    def hold(self, connection: socket.socket) -> None:
        """Have a connection answered before the server stops."""
        with self._loose_lock:
            self._loose.discard(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            _logger.info("a client hung up, was too slow, or spoke no TLS: %s", type(error).__name__)
        elif error:
            _log_frames(error, "the server raised %s", type(error).__name__)

    def close_request(self, request: Any) -> None:
        super().close_request(request)
        self._places.release()

    def finish(self) -> None:
        """Accept nothing more, and wait until every connection that has asked for something has its answer."""
        self._is_stopping = True
        self.shutdown()
        self._accept_waiting()
        self.server_close()
        time.sleep(_POLL_SECONDS)  # for what is on its way
        with self._loose_lock:
            self._is_cutting = True
            for connection in self._loose:
                _cut(connection)
        for _ in range(_MAX_CONNECTIONS):
            self._places.acquire()

    def _accept_waiting(self) -> None:
        """Accept what the kernel has accepted for us: to close before that would reset it."""
        with suppress(OSError, RuntimeError):  # there is no place, or no thread
            for _ in range(_BACKLOG):
                if not select.select([self], [], [], 0)[0]:
                    return
                self.process_request(*self.get_request())


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RD)  # SSLSocket's would go on in plain text


def _read_certificate(certfile: str, keyfile: str) -> ssl.SSLContext:
    import ssl

    def refuse() -> str:
        path = keyfile or certfile
        raise _SettingError(f"CONNECTOR_PROXY_KEYFILE: {path} is encrypted; give a key without a password")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        for path in filter(None, (certfile, keyfile)):
            Path(path).open("rb").close()  # load_cert_chain() does not name the file that is missing
        context.load_cert_chain(certfile, keyfile or None, refuse)
    except OSError as error:
        reason = str(error)
        if isinstance(error, ssl.SSLError):
            is_other = (error.reason or "").endswith("_MISMATCH")
            reason = "the key is not that of the certificate" if is_other else f"no PEM file: {error.reason or error}"
        raise _SettingError(f"CONNECTOR_PROXY_CERTFILE, CONNECTOR_PROXY_KEYFILE: {reason}") from None
    return context


def _serve(proxy: Proxy) -> int:
    """Serve until a signal comes, answer what was asked before it, and return the exit status."""
    signals, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)  # a handler in Python runs when the main thread wakes, which nothing else may do
    for number in signal.SIGTERM, signal.SIGINT:
        signal.signal(number, lambda *_: None)  # before anything listens
    server = _listen(proxy)
    threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), daemon=True).start()
    os.read(signals, 1)
    _logger.info("stopping: what runs is answered, for at most %s s; another signal stops at once", _STOP_SECONDS)
    threading.Thread(target=_give_up, args=(signals,), daemon=True).start()
    server.finish()
    _logger.info("stopped")
    return 0


def _give_up(signals: int) -> None:
    """End the process where it does not end by itself, which the threads of commands may keep it from."""
    select.select([signals], [], [], _STOP_SECONDS)
    _logger.warning("stopped before everything was done")
    logging.shutdown()
    os._exit(1)


def _listen(proxy: Proxy) -> _Server:
    settings = proxy._settings
    try:
        server = _Server(settings, proxy)
    except (OSError, TypeError, UnicodeError) as error:  # the last two for what is no name of a host
        raise _SettingError(f"cannot listen on {settings.host} port {settings.port}: {error}") from None
    host = f"[{server.server_name}]" if ":" in server.server_name else server.server_name
    _logger.info(
        "listening on %s://%s:%s; connectors: %s; %s; at most %s commands run at once",
        "https" if server.tls else "http",
        host,
        server.server_port,
        ", ".join(connector.name for connector in proxy._connectors) or "none",
        "a key is asked for" if settings.api_keys else "no key is asked for",
        settings.threads,
    )
    if not settings.api_keys and not re.match(r"127\.|::1$", server.server_name):
        _logger.warning("other hosts can run commands without a key; set CONNECTOR_PROXY_API_KEY")
    return server


# --- The check of a connector, for its author ---------------------------------------------------------------------


def _check(connectors: _Connectors, only: str | None) -> Iterator[str]:
    """Yield what is wrong with the connectors, or with one of them: the line to change, and what would be right."""
    paths = [
        path for folder in sys.path for path in sorted(Path(folder).glob("connector_*")) if any(path.rglob("*.py"))
    ]
    folders = [path for path in paths if only in (None, path.name[len("connector_") :])]
    checked = [connector for connector in connectors if only in (None, connector.name)]
    if not folders and not checked:
        yield f"There is no connector_{only} in any of: {', '.join(filter(None, sys.path))}"
    yield from _check_folders(dict.fromkeys(map(Path.resolve, folders)))
    for connector in checked:
        yield from _check_connector(connector)


def _check_folders(folders: Iterable[Path]) -> Iterator[str]:
    first: dict[str, Path] = {}
    for folder in folders:
        packages = [path for path in (folder, *(folder / kind for kind in _KINDS)) if path.is_dir()]
        for package in packages:
            if not (package / "__init__.py").is_file():
                yield f"{package / '__init__.py'}: is missing, so Python takes the folder for no package; add it, empty"
        if len(packages) == 1:
            yield f"{folder}: has none of the folders {', '.join(_KINDS)}, so nothing in it is listed"
        if (folder / "__init__.py").is_file() and first.setdefault(folder.name, folder) is not folder:
            other = first[folder.name]
            yield f"{folder}: is hidden by {other}, which is found before it; rename one, unless that is meant"


def _check_connector(connector: _Connector) -> Iterator[str]:
    if not connector.load(_LIST_SECONDS):
        yield f"{connector.package}: is still being imported, after {_LIST_SECONDS} s"
        return
    for module, reason in connector.failures.items():
        yield f"{connector.places[module]}: {module} cannot be imported: {reason}"
    for kind, modules in connector.modules.items():
        first: dict[str, type] = {}
        for module in modules:
            for cls in _find_classes(sys.modules[module]) if module not in connector.failures else ():
                name = cls.__name__
                if callable(getattr(cls, _KINDS[kind], None)):
                    if first.setdefault(name, cls) is not cls:
                        used = _find_line(first[name], name)
                        yield f"{_find_line(cls, name)}: the {name} of {used} is used, not this; rename one"
                    yield from _check_parameters(cls)
                elif kind == "commands" and callable(getattr(cls, "run", None)):
                    run = _find_line(cls, "run")
                    yield f"{run}: {name} has run, but what is called is execute(self, config, task_data); rename it"
                elif not issubclass(cls, (dict, tuple)):  # a TypedDict or a NamedTuple is nothing to be listed
                    place, method = _find_line(cls, name), _KINDS[kind]
                    yield f"{place}: {name} has no {method}, and is not listed; add it, or begin the name with _"


def _check_parameters(cls: type) -> Iterator[str]:
    for parameter in _constructor_parameters(cls):
        name = parameter.name
        if name.startswith("spiff__"):
            words = f"{name} never arrives, for what begins with spiff__ is SpiffArena's own; rename it"
            yield f"{_find_line(cls, name)}: {words}"
        try:
            members = list(_members(parameter.annotation, cls))
            reasons = [
                f"{member.reason}; it is needed at run time" for member in members if isinstance(member, _Unresolved)
            ]
        except Exception as error:
            reasons = [f"{type(error).__name__}: {_exception_text(error)}"]
        for reason in reasons:
            yield f"{_find_line(cls, name)}: the annotation of {name} cannot be resolved: {reason}"


def _check_call(proxy: Proxy, command_id: str, body: dict[str, Any]) -> Iterator[str]:
    """Run a command, and yield what is wrong with its result, if anything."""
    place = command_id
    try:
        place = _find_line(proxy._connectors.find("commands", command_id).cls, "execute")
        proxy._run(command_id, body)
    except _Refusal as refusal:
        yield f"{place}: {refusal.error_code}: {refusal.message}"


def _find_line(cls: type, name: str) -> str:
    """Return the file and line where a class, or one that it inherits from, has something of that name."""
    for base in cls.__mro__:
        with suppress(OSError, TypeError, SyntaxError):  # where there is no source
            lines, start = inspect.getsourcelines(base)
            for node in ast.walk(ast.parse(textwrap.dedent("".join(lines)))):  # it may stand in an `if`
                target = getattr(node, "target", None)  # of a field
                if name in (getattr(node, "name", None), getattr(node, "arg", None), getattr(target, "id", None)):
                    return f"{inspect.getsourcefile(base)}:{start + node.lineno - 1}"  # type: ignore[attr-defined]
    return cls.__module__


# --- The command line ---------------------------------------------------------------------------------------------


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit status: 1 for a failure, 2 for what was asked for wrongly."""
    arguments = _parse_arguments(sys.argv[1:] if argv is None else argv)
    flags = {name: value for name, value in vars(arguments).items() if name.isupper() and value is not None}
    if "CONNECTOR_PROXY_CONNECTORS" in flags:
        flags["CONNECTOR_PROXY_CONNECTORS"] = os.pathsep.join(flags["CONNECTOR_PROXY_CONNECTORS"])
    out = sys.stdout  # which is stderr for as long as a connector is being imported
    if isinstance(out, io.TextIOWrapper):
        out.reconfigure(errors="backslashreplace")  # a terminal may have no letters for what is printed
    try:
        proxy = Proxy({**os.environ, **flags})
        _start_log(proxy._settings.log_format)
        if arguments.command == "list":
            return _print_list(proxy, out, verbose=arguments.verbose)
        if arguments.command == "call" and arguments.help:
            print(_explain(proxy._connectors.find("commands", arguments.id)), file=out)
            return 0
        if arguments.command == "call":
            return _print_call(proxy, arguments.id, dict(map(_parse_argument, arguments.parameters)), out)
        if arguments.command == "check":
            return _print_check(proxy, arguments.name, arguments.call, out)
        return _serve(proxy)
    except _SettingError as error:
        print(f"spiffproxy: {error}", file=sys.stderr)
        return 2
    except _Refusal as refusal:
        print(f"spiffproxy: {refusal.message}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `| head` has seen enough; Python would say so once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1


class _JsonFormatter(logging.Formatter):
    """One JSON object a line: the parts of a request's line, or the message of any other; times are in UTC."""

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"
    converter = time.gmtime  # type: ignore[assignment]

    def format(self, record: logging.LogRecord) -> str:
        parts: Any = {"message": super().format(record)}
        if record.name == _logger.name and isinstance(record.args, dict):
            parts = record.args
        return json.dumps({"time": self.formatTime(record), "level": record.levelname, **parts})


class _LineHandler(logging.Handler):
    """Writes each line to stderr by itself: under the lock of the standard handler threads would queue up."""

    def handle(self, record: logging.LogRecord) -> bool:
        try:
            os.write(2, f"{self.format(record)}\n".encode("utf-8", "backslashreplace"))
        except Exception:
            self.handleError(record)
        return True


def _start_log(log_format: str) -> None:
    handler = _LineHandler()
    text = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    handler.setFormatter(_JsonFormatter() if log_format == "json" else text)
    logging.basicConfig(handlers=[handler], level=logging.INFO)


def _parse_arguments(argv: list[str]) -> Any:
    """Parse the arguments; a flag is kept under the name of the variable that it stands for."""
    import argparse

    def add(parser: argparse.ArgumentParser, flag: str, metavar: str, text: str, action: str = "store") -> None:
        name = "CONNECTOR_PROXY_" + flag[2:].upper().replace("-", "_")
        parser.add_argument(flag, metavar=metavar, dest=name, action=action, help=f"{text} ({name})")

    parser = argparse.ArgumentParser(prog="spiffproxy", description="A connector proxy for SpiffArena.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command")
    serve = commands.add_parser("serve", help="serve the connectors over HTTP; the default")
    add(serve, "--host", "ADDRESS", "the address to listen on, 127.0.0.1 unless set")
    add(serve, "--port", "NUMBER", "the port, 7004 unless set; 0 lets the system choose")
    add(serve, "--threads", "NUMBER", "how many commands may run at once, 64 unless set")
    add(serve, "--certfile", "FILE", "serve HTTPS with this certificate chain, in PEM form")
    add(serve, "--keyfile", "FILE", "the key of the certificate, where it is in a file of its own")
    add(serve, "--log-format", "FORMAT", "text, or json for one object a line; text unless set")
    listing = commands.add_parser("list", help="print the commands, the authentications, and what is broken")
    listing.add_argument("--verbose", action="store_true", help="with all that there is to tell of each")
    call = commands.add_parser("call", help="run one command here and print its answer", add_help=False)
    call.add_argument("-h", "--help", action="store_true", help="tell all of the command, or this without one")
    call.add_argument("id", metavar="CONNECTOR/COMMAND", nargs="?")
    call.add_argument("parameters", metavar="name=text | name:=json", nargs="*")
    check = commands.add_parser("check", help="tell the author of a connector what is wrong with it")
    check.add_argument("name", metavar="CONNECTOR", nargs="?", help="its name; all of them unless given")
    words = ("CONNECTOR/COMMAND", "name=text | name:=json")
    check.add_argument("--call", metavar=words, nargs="+", help="and look at the result of this call")
    for subparser in (serve, listing, call, check):
        add(subparser, "--connectors", "FOLDER", "a folder of connectors; may be given again", action="append")
        add(subparser, "--config", "FILE", "a Python file; commands see its upper-case names")
    if not argv or (argv[0].startswith("-") and argv[0] not in ("-h", "--help", "--version")):
        argv = ["serve", *argv]
    arguments = parser.parse_args(argv)
    if arguments.command == "call" and not arguments.id:
        if not arguments.help:
            call.error("CONNECTOR/COMMAND is required")
        call.print_help()
        sys.exit()
    return arguments


def _print_list(proxy: Proxy, out: typing.TextIO, *, verbose: bool) -> int:
    connectors = proxy._connectors
    show = _explain if verbose else _summarize
    sections = {
        "Commands (* required)": [show(entry) for entry in connectors.load_all("commands")],
        "Authentications": [show(entry) for entry in connectors.load_all("auths")],
        "Lacking": [lack for connector in connectors for lack in connector.lacks],
        "Broken": [],
    }
    for connector in connectors:
        failures = {connector.package: "still being imported"} if connector.is_late else connector.failures
        sections["Broken"] += [" ".join(f"{module}: {reason}".split()) for module, reason in failures.items()]
    for title, lines in sections.items():
        if lines:
            print(title, *lines, sep="\n  ", end="\n\n", file=out)
    return 1 if sections["Broken"] else 0


def _summarize(entry: _Entry) -> str:
    parameters = ", ".join(f"{p['id']}{'*' * p['required']}: {p['type']}" for p in entry.parameters)
    return f"{entry.id}({parameters})"


def _explain(entry: _Entry) -> str:
    """Return all that is told of an entry, its parameters and its errors, on lines of their own."""
    told = _tell(entry)
    lines = [*told.get("description", "").splitlines(), *["deprecated"] * ("deprecated" in told)]
    lines += ["parameters"] if told["parameters"] else []
    for parameter in told["parameters"]:
        lines.append(f"    {parameter['id']}: {parameter.get('description', '')}".rstrip(": "))
        more = [name for name in ("default", "schema", "secret") if name in parameter]
        lines += [f"        {name}: {json.dumps(parameter[name])}" for name in more]
    lines += ["errors"] if "errors" in told else []
    lines += [f"    {code}: {text}" for code, text in told.get("errors", {}).items()]
    return "\n".join([_summarize(entry), *(f"      {line}".rstrip() for line in lines)])


def _print_check(proxy: Proxy, name: str | None, call: list[str] | None, out: typing.TextIO) -> int:
    faults = list(_check(proxy._connectors, name))
    if call:
        faults += _check_call(proxy, call[0], dict(map(_parse_argument, call[1:])))
    lacks = [lack for connector in proxy._connectors if name in (None, connector.name) for lack in connector.lacks]
    print(*faults, *lacks, *([] if faults else ["Nothing is wrong."]), sep="\n", file=out)
    return 1 if faults else 0


def _print_call(proxy: Proxy, command_id: str, body: dict[str, Any], out: typing.TextIO) -> int:
    try:
        reply = proxy._run(command_id, body)
    except _Refusal as refusal:
        reply = _reply_to_refusal(refusal)
    text, answer = reply.body.decode("utf-8", "replace"), None
    with suppress(ValueError):  # it may be no JSON
        answer = json.loads(text)
        text = json.dumps(answer, indent=2)
    print(text, file=out)
    return 1 if reply.status >= 300 or _holds_error(answer) else 0


def _parse_argument(argument: str) -> tuple[str, Any]:
    match = re.fullmatch(r"([^=:]+)(:?=)(.*)", argument, re.DOTALL)
    if not match:
        raise _SettingError(f"{argument!r} is no parameter; write name=text, or name:=json for what is not text")
    name, sign, value = match.groups()
    if sign == "=":
        return name, value
    try:
        return name, _decode_json(value)
    except (ValueError, RecursionError) as error:
        raise _SettingError(f"the value of {name} is not JSON: {error}; for text write {name}=…") from None


def _holds_error(answer: Any) -> bool:
    """Tell whether SpiffArena, or a person who looks at a version 1 result, would see an error in it."""
    if not isinstance(answer, dict):
        return False
    response = answer.get("command_response")
    status = response.get("http_status") if isinstance(response, dict) else None
    return bool(answer.get("error")) or (isinstance(status, int) and status >= 300)


if __name__ == "__main__":
    sys.modules["spiffproxy"] = sys.modules["__main__"]  # a connector that imports it gets this one, not a second
    sys.exit(main())
