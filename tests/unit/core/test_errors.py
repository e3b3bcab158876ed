"""Messages are one line: where, what, the value, the hint."""

from __future__ import annotations

from fedmvp.errors import ConfigError, FedMVPError


def test_a_message_says_everything_in_one_line() -> None:
    error = ConfigError("unknown key", where="params.yaml: run", value="sesds", hint="use seeds")
    assert str(error) == "params.yaml: run: unknown key; got 'sesds'; hint: use seeds"
    assert isinstance(error, FedMVPError)


def test_no_value_no_got() -> None:
    assert str(FedMVPError("w", where="x", hint="m")) == "x: w; hint: m"
    # A falsy value is a value.
    assert "got 0" in str(FedMVPError("w", where="x", value=0, hint="m"))


def test_hostile_text_cannot_break_the_line() -> None:
    text = str(FedMVPError("a\nb\x1b[31m", where="w\r", value="v" * 1000, hint="m" * 5000))
    assert text.isprintable()
    assert len(text) < 1500


def test_arguments_are_kept() -> None:
    error = ConfigError("w", where="x", value=1, hint="m")
    assert error.args == ("w", "x", 1, "m")
    assert repr(error).startswith("ConfigError(")
