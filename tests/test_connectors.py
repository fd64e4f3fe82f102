"""What the commands of all bundled connectors say of themselves; conftest.py holds their answers to it."""

import inspect
import re

import pytest
from conftest import BUNDLED, find_commands

COMMANDS = [pytest.param(cls, id=f"{name}-{cls.__name__}") for name in BUNDLED for cls in find_commands(name).values()]


def list_described(cls):
    return re.findall(r"^ *:param (\w+): \S", cls.__dict__.get("__doc__") or "", re.MULTILINE)


@pytest.mark.parametrize("cls", COMMANDS)
def test_a_command_says_what_it_does(cls):
    """In one sentence of its own, and of its own parameters what they take."""
    sentence = cls.__dict__["__doc__"].partition("\n")[0]
    assert re.fullmatch(r"[A-Z][^.]+\.", sentence)
    assert cls.__doc__.count(":param") == len(list_described(cls))
    assert set(list_described(cls)) <= inspect.signature(cls).parameters.keys()


@pytest.mark.parametrize("name", BUNDLED)
def test_what_is_described_for_several_commands(name):
    """Is a parameter of one of them at least."""
    commands = find_commands(name).values()
    taken = {parameter for cls in commands for parameter in inspect.signature(cls).parameters}
    assert {word for cls in commands for base in cls.__mro__ for word in list_described(base)} <= taken


@pytest.mark.parametrize("cls", COMMANDS)
def test_a_code_has_a_meaning(cls):
    """In a line that a message can end with."""
    for code, meaning in getattr(cls, "errors", {}).items():
        assert re.fullmatch(r"\w+(<status>)?", code)
        assert re.fullmatch(r"\w.*[^\s.]", meaning)


@pytest.mark.parametrize("cls", COMMANDS)
def test_a_command_that_is_shown(cls):
    """Shows no parameter: many of them are secrets."""
    assert "s3cret" not in repr(cls(**dict.fromkeys(inspect.signature(cls).parameters, "s3cret")))


def test_who_follows_redirects():
    """Only http: what the others send is for one host."""
    pairs = [(name, getattr(cls, "errors", {})) for name in BUNDLED for cls in find_commands(name).values()]
    assert {name for name, errors in pairs if "TooManyRedirects" in errors} == {"connector_http"}
