"""Base of all sections of YAML files: frozen, typed, with errors in one clear line."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from fedmvp.errors import ConfigError

__all__ = ["Float", "Section", "parse_section"]

_MAX_NUMBER = 2**53  # beyond it a number in JSON is not exact


def _number(value: Any) -> Any:
    """Take 1e-3, a string to YAML 1.1 (it wants 1.0e-3), for the number it is."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


Float = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]


class Section(BaseModel):
    """A frozen part of params.yaml that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _plain_numbers(cls, value: Any) -> Any:
        """Refuse what pydantic would accept as a number: `yes` for 1, and useless huge numbers."""
        for name, entry in value.items() if isinstance(value, dict) else ():
            field = cls.model_fields.get(name)
            kinds = set() if field is None else _kinds(field.annotation)
            for number in entry if isinstance(entry, list | tuple) else (entry,):
                if isinstance(number, bool) and kinds & {int, float} and bool not in kinds:
                    raise ValueError(f"{name} is {str(number).lower()} instead of a number")
                if type(number) is int and abs(number) > _MAX_NUMBER:
                    raise ValueError(f"{name} holds a number beyond {_MAX_NUMBER}")
        return value


def _kinds(annotation: Any) -> set[Any]:
    """Return the types an annotation is made of."""
    parts = get_args(annotation)
    return {annotation}.union(*map(_kinds, parts)) if parts else {annotation}


_Model = TypeVar("_Model", bound=BaseModel)


def parse_section(model: type[_Model], value: Any, where: str) -> _Model:
    """Validate `value` as `model`, turning the first error into one clear line.

    Parameters
    ----------
    where : str
        File and key prefix for the message, e.g. ``"params.yaml: methods.fedmvp"``.

    Raises
    ------
    ConfigError
        Naming the key, its value and what is allowed.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _config_error(model, error, where) from None


def _config_error(model: type[BaseModel], error: ValidationError, where: str) -> ConfigError:
    found = error.errors(include_url=False)
    # A misspelt key is unknown and leaves its right name missing: name what the user wrote.
    first = next((each for each in found if each["type"] == "extra_forbidden"), found[0])
    key = ".".join(str(part) for part in first["loc"])
    place = f"{where}: {key}" if key else where
    if first["type"] == "extra_forbidden":
        known = _known_keys(model, first["loc"][:-1])
        return ConfigError(
            "unknown key",
            where=place,
            value=first["input"],
            hint=f"remove it or use one of: {', '.join(known)}",
        )
    if first["type"] == "missing":
        return ConfigError("key is missing", where=place, hint="add it")
    message = first["msg"].removeprefix("Value error, ") or "not allowed"
    value = first["input"] if not isinstance(first["input"], dict) else None
    return ConfigError(
        message[0].lower() + message[1:], where=place, value=value, hint="set an allowed value"
    )


def _known_keys(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    for part in location:
        field = model.model_fields.get(str(part))
        if field is None:
            break
        for candidate in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                model = candidate
                break
    return sorted(model.model_fields)
