"""Every error is of one tree and carries its facts."""

import inspect

from s2chips_core import errors


def test_one_tree_and_drawn_in_the_docstring() -> None:
    assert errors.__doc__ is not None
    for name, error in inspect.getmembers(errors, inspect.isclass):
        assert issubclass(error, errors.S2ChipsError)
        assert name in errors.__doc__


def test_sentences_hold_the_facts() -> None:
    error = errors.HostNotAllowedError("http://10.0.0.1/x", "10.0.0.1", ("a.example", "b.example"))
    assert "'10.0.0.1'" in str(error)
    assert "a.example, b.example" in str(error)
    assert isinstance(error, errors.ReadError)
