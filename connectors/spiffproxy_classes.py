"""What is wrong with the modules and the classes of a connector, for `check` and `list`."""

from __future__ import annotations

import ast
import functools
import inspect
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from spiffproxy import (
    KINDS,
    Unresolved,
    constructor_parameters,
    exception_text,
    find_classes,
    json_type,
    resolve_union,
)

SIGNATURE = "execute(self, config, task_data)"


def check_module(module: ModuleType, kind: str, first: dict[str, type], folders: list[Path]) -> Iterator[str]:
    """Yield what is wrong with a module; `first` maps names to the classes that are listed."""
    file = Path(getattr(module, "__file__", None) or "")
    method = KINDS[kind]
    offers_any = False
    for cls in find_classes(module):
        if callable(getattr(cls, method, None)):
            offers_any = True
            yield from check_class(cls, kind, first, file)
        elif not is_helper(cls, file, folders):
            yield describe_without_method(cls, kind, file)
    for value in list(vars(module).values()):
        if isinstance(value, type) and value.__module__ == module.__name__ and callable(getattr(value, method, None)):
            reason = explain_unlisted(value, method)
            if reason and not is_helper(value, file, folders):
                name = value.__name__
                yield f"{find_line(value, name, file)}: {name} is not listed, because {reason}"
    lines: dict[str, int] = {}
    for node in parse_file(file).body:
        if isinstance(node, ast.ClassDef):
            if node.name in lines:
                yield f"{file}:{lines[node.name]}: {node.name} is defined again in line {node.lineno}; rename one"
            lines[node.name] = node.lineno
        elif method in defined_names(node) and not offers_any:
            yield f"{file}:{node.lineno}: {method} must be a method of a class; write the class around it"


def explain_unlisted(cls: type, method: str) -> str:
    """Return why a class that has the method is not listed, or "" if it is, or is not meant to be."""
    if cls.__name__.startswith("_"):
        return "its name begins with _; rename it"
    abstract = sorted(getattr(cls, "__abstractmethods__", ()))
    return f"it does not define {', '.join(abstract)}; add that" if abstract and method not in abstract else ""


def is_helper(cls: type, file: Path, folders: Iterable[Path]) -> bool:
    """Return whether a class is there for others: they inherit from it, or its name is used in the connector."""
    if type.__subclasses__(cls) or issubclass(cls, (type, dict, tuple)):  # a TypedDict or a NamedTuple is only data
        return True
    is_readable = file.is_file()  # not in an archive
    return not is_readable or any(cls.__name__ in names_used_in(folder) for folder in folders)


def check_other_files(folder: Path) -> Iterator[str]:
    """Yield the commands in files that are not looked at, because they are not directly in one of the three folders."""
    imported = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    for file in list_sources(folder):
        parents = file.relative_to(folder).parts[:-1]
        is_init = file.name == "__init__.py"
        if not is_init and (str(file) in imported or (len(parents) == 1 and parents[0] in KINDS)):
            continue
        reason, place = f"the file is not in {folder / 'commands'}", "there"
        if is_init:
            reason, place = "it is in an __init__.py", f"to a file in {folder / 'commands'}"
        for node in parse_file(file).body:
            methods = [getattr(item, "name", "") for item in getattr(node, "body", ())]
            if isinstance(node, ast.ClassDef) and "execute" in methods and node.name not in names_used_in(folder):
                yield f"{file}:{node.lineno}: {node.name} is not listed, because {reason}; move it {place}"


def check_class(cls: type, kind: str, first: dict[str, type], file: Path) -> Iterator[str]:
    """Yield what is wrong with a class that is listed; `first` maps names to the classes so far."""
    name = cls.__name__
    used = first.setdefault(name, cls)
    if used is not cls:
        place = find_line(used, name, file)
        yield f"{find_line(cls, name, file)}: {name} is left out, because {place} has the same name; rename one"
    yield from check_constructor(cls, file)
    yield from check_fields(cls, file)
    if KINDS[kind] == "execute":
        yield from check_execute(cls, file)
    errors = inspect.getattr_static(cls, "errors", None)
    words = f'errors of {name} must map error codes to what to do: errors = {{"NoAnswer": "try again"}}'
    if not isinstance(errors, (Mapping, type(None))) and not hasattr(errors, "__get__"):
        yield f"{find_line(cls, 'errors', file)}: {words}"
    for code, text in errors.items() if isinstance(errors, dict) else ():
        if not isinstance(code, str) or not isinstance(text, str):
            wrong, value = (f"the value of {code!r}", text) if isinstance(code, str) else ("a code", code)
            yield f"{find_line(cls, 'errors', file)}: {words}; {wrong} is {json_type(value)}, not a string"


def describe_without_method(cls: type, kind: str, file: Path) -> str:
    """Return what is wrong with a class that has not the method of its kind, and that nothing else uses."""
    name = cls.__name__
    if kind == "commands" and callable(getattr(cls, "run", None)):
        return f"{find_line(cls, 'run', file)}: {name} has run, but the proxy calls {SIGNATURE}; rename it"
    words = f"has no {KINDS[kind]}, so it is not listed; add {KINDS[kind]}, or begin the name with _"
    return f"{find_line(cls, name, file)}: {name} {words}"


def check_execute(cls: type, file: Path) -> Iterator[str]:
    """Yield what is wrong with the parameters of `execute`: the proxy passes config and task_data, in this order."""
    function = inspect.getattr_static(cls, "execute", None)
    is_bound = isinstance(function, (staticmethod, classmethod))
    if not is_bound and not inspect.isfunction(function):  # an object that can be called, or a descriptor
        return
    with suppress(ValueError, TypeError):  # it has no signature
        signature = inspect.signature(cls.execute)  # type: ignore[attr-defined]
        names = list(signature.parameters)[0 if is_bound else 1 :]
        if names[:2] == ["task_data", "config"]:
            place = find_line(cls, "execute", file)
            yield f"{place}: execute of {cls.__name__} has its parameters swapped; write {SIGNATURE}"
            return
        try:
            signature.bind(*([None] * (2 if is_bound else 3)))
        except TypeError:
            place = find_line(cls, "execute", file)
            yield f"{place}: execute of {cls.__name__} cannot be called with two arguments; write {SIGNATURE}"


def check_constructor(cls: type, file: Path) -> Iterator[str]:
    constructor = getattr(cls, "__init__", None)
    defaults: list[Any] = []
    if inspect.isfunction(constructor):
        inner: Any = inspect.unwrap(constructor)
        defaults += getattr(inner, "__defaults__", None) or ()
        defaults += (getattr(inner, "__kwdefaults__", None) or {}).values()
        code = constructor.__code__  # not the signature, which a decorator may have set
        name = code.co_varnames[0] if code.co_argcount else ""
        has_self = "self" in name or name.startswith("_") or stores_in(constructor, name)
        if not has_self and not code.co_flags & inspect.CO_VARARGS:
            words = f"must begin with self, not with {name}" if name else "needs the parameter self"
            yield f"{find_line(cls, '__init__', file)}: __init__ of {cls.__name__} {words}"
    for parameter in constructor_parameters(cls):
        name = parameter.name
        reasons = unresolved_reasons(parameter.annotation, cls)
        faults = [f"the annotation of {name} cannot be resolved: {reason}" for reason in reasons]
        if name.startswith("spiff__"):
            faults.append(f"{name} never arrives, because names with spiff__ in front are SpiffArena's own; rename it")
        # the default of pydantic's fields is not one of the function's: each object has its own
        if isinstance(parameter.default, (list, dict, set)) and any(parameter.default is one for one in defaults):
            faults.append(f"all calls share the default of {name}; write None, and create the value in execute")
        for fault in faults:
            yield f"{find_line(cls, name, file)}: {fault}"


def check_fields(cls: type, file: Path) -> Iterator[str]:
    """Yield the first field of a class that would be a parameter if the class was a dataclass."""
    definition = find_definitions(parse_file(file)).get(cls.__name__)
    if definition is None or constructor_parameters(cls) or getattr(cls, "__init__", None) is not object.__init__:
        return
    attributes = [node for node in ast.walk(definition) if isinstance(node, ast.Attribute)]
    assigned = {node.attr for node in attributes if isinstance(node.ctx, ast.Store)}
    for node in definition.body:
        if isinstance(node, ast.AnnAssign) and node.value is None and "ClassVar" not in ast.dump(node.annotation):
            name = getattr(node.target, "id", "")
            if name and not name.startswith("_") and name not in assigned:
                words = f"is not a parameter of {cls.__name__}; write @dataclass above the class"
                yield f"{file}:{node.lineno}: {name} {words}"
                return


def stores_in(function: Any, name: str) -> bool:
    """Return whether attributes of a parameter are set in the file of a function, if there is one: it is its `self`."""
    file = Path(inspect.getsourcefile(function) or "")
    attributes = [node for node in ast.walk(parse_file(file)) if isinstance(node, ast.Attribute)]
    is_self = any(isinstance(node.ctx, ast.Store) and getattr(node.value, "id", "") == name for node in attributes)
    return is_self or not file.is_file()  # generated


def unresolved_reasons(annotation: Any, cls: type) -> list[str]:
    try:
        members = list(resolve_union(annotation, cls))
    except Exception as error:
        return [f"{type(error).__name__}: {exception_text(error)}"]
    return [f"{one.reason}; it is needed at run time" for one in members if isinstance(one, Unresolved)]


# --- Source files -------------------------------------------------------------------------------------------------


def list_sources(folder: Path) -> list[Path]:
    """Return the Python files below a folder, without tests, and without those that no `import` could find."""
    sources: list[Path] = []
    for path, names, files in os.walk(folder):
        names[:] = [name for name in names if name.isidentifier() and name not in ("tests", "node_modules")]
        sources += [Path(path, file) for file in files if file.endswith(".py") and not file.startswith("test_")]
    return sorted(sources)


@functools.cache
def names_used_in(folder: Path) -> set[str]:
    """Return the names that the files of a connector use; an `__init__.py` may import what it does not use."""
    trees = [parse_file(source) for source in list_sources(folder) if source.name != "__init__.py"]
    return {name for tree in trees for name in used_names(tree)}


def used_names(tree: ast.Module) -> set[str]:
    """Return the names that a file imports or uses, without those that a class or an assignment uses of itself."""
    used: set[str] = set()
    for statement in tree.body:
        names: set[str] = set()
        defined: set[str] = set()
        for node in ast.walk(statement):
            if isinstance(node, ast.ClassDef):
                defined.add(node.name)
            elif isinstance(node, ast.Name):
                names.add(node.id)
            elif isinstance(node, ast.Attribute):
                names.add(node.attr)
            elif isinstance(node, ast.alias):
                names.add(node.name)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not re.search(r"\w \w", node.value):
                names.update(re.findall(r"\w+", node.value))  # an annotation, and not prose
        for target in getattr(statement, "targets", ()):
            defined.update(node.id for node in ast.walk(target) if isinstance(node, ast.Name))
        used |= names - defined
    return used


@functools.cache
def parse_file(file: Path) -> ast.Module:
    """Return the syntax tree of a file; an empty tree if the file cannot be read or parsed."""
    try:
        return ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return ast.Module([], [])


def find_line(cls: type, name: str, file: Path) -> str:
    """Return the file and line at which a class or one of its base classes defines a name; else `file`."""
    for base in cls.__mro__:
        with suppress(OSError, TypeError):  # there is no source
            source = inspect.getsourcefile(base) or ""
            definition = find_definitions(parse_file(Path(source))).get(base.__name__)
            for node in ast.walk(definition) if definition else ():
                if name in defined_names(node):
                    return f"{source}:{node.lineno}"  # type: ignore[attr-defined]
    return str(file)


@functools.cache
def find_definitions(tree: ast.Module) -> dict[str, ast.ClassDef]:
    """Return the classes of a file by name; they may stand in an `if`."""
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


def defined_names(node: ast.AST) -> list[Any]:
    """Return the name of a class, a function, a parameter or a field."""
    targets = [getattr(node, "target", None), *getattr(node, "targets", ())]
    return [getattr(node, "name", None), getattr(node, "arg", None), *(getattr(one, "id", None) for one in targets)]
