"""Expand the shorthands of a setting into explicit folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fedmvp.errors import ConfigError
from fedmvp.partition.setting_spec import Fold, Setting, TargetRule, TrainRule

__all__ = ["datasets_of", "explicit_folds", "official_folds", "select_datasets"]


def explicit_folds(setting: Setting, domains: Mapping[str, Sequence[str]]) -> tuple[Fold, ...]:
    """Return the setting's folds with every domain named.

    Parameters
    ----------
    domains : mapping
        Domain names of each dataset.

    Raises
    ------
    ConfigError
        When a named domain does not exist, or the datasets of a shorthand differ in domains.
    """
    if leave := setting.leave_one_domain_out:
        shared = _shared_domains(leave.datasets, domains)
        held_out = _pick(leave.held_out, shared, "leave_one_domain_out.held_out")
        return tuple(
            Fold(
                name=domain,
                train=TrainRule(datasets=leave.datasets, domains=_without(shared, domain)),
                targets=(TargetRule(group="target", each="domain", domains=(domain,)),),
            )
            for domain in held_out
        )
    if single := setting.single_source:
        shared = _shared_domains(single.datasets, domains)
        sources = _pick(single.sources, shared, "single_source.sources")
        return tuple(
            Fold(
                name=domain,
                train=TrainRule(datasets=single.datasets, domains=(domain,)),
                targets=(
                    TargetRule(
                        group="target",
                        each="domain",
                        domains=_without(shared, domain),
                        name="{fold}-to-{domain}",
                    ),
                ),
            )
            for domain in sources
        )
    return setting.folds


def official_folds(setting: Setting, folds: Sequence[Fold]) -> tuple[str, ...]:
    """Return which of a setting's folds are those of the paper's public code.

    Raises
    ------
    ConfigError
        When the setting marks a fold as official that it does not have.
    """
    shorthand = setting.leave_one_domain_out or setting.single_source
    names = [fold.name for fold in folds]
    return _pick(shorthand.official if shorthand else (), names, "official")


def datasets_of(setting: Setting, listed: Sequence[str]) -> tuple[str, ...]:
    """Return the datasets a setting reads, in the order of `listed` (``data.datasets``).

    Raises
    ------
    ConfigError
        When the setting names a dataset that is not listed.
    """
    shorthand = setting.leave_one_domain_out or setting.single_source
    used = set(select_datasets(shorthand.datasets, listed)) if shorthand else set()
    for fold in setting.folds:
        trained = select_datasets(fold.train.datasets, listed)
        used.update(trained)
        for rule in fold.targets:
            used.update(select_datasets(rule.datasets, listed, trained))
    return tuple(name for name in listed if name in used)


def select_datasets(
    chosen: tuple[str, ...] | str, listed: Sequence[str], trained: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the datasets to which a rule refers.

    Raises
    ------
    ConfigError
        When it names one that is not in `listed`.
    """
    if isinstance(chosen, str):
        words = {
            "all": listed,
            "trained": trained,
            "others": [name for name in listed if name not in trained],
        }
        return tuple(words[chosen])
    return _pick(chosen, listed, "datasets", hint="list it in params.yaml: data.datasets")


def _shared_domains(
    datasets: Sequence[str], domains: Mapping[str, Sequence[str]]
) -> tuple[str, ...]:
    first = tuple(domains[datasets[0]])
    for name in datasets[1:]:
        if set(domains[name]) != set(first):
            raise ConfigError(
                "the datasets of a domain setting differ in their domains",
                where=f"{datasets[0]}, {name}",
                value=sorted(domains[name]),
                hint="list the folds instead of using the shorthand",
            )
    if len(first) < 2:
        raise ConfigError(
            "a domain setting needs at least two domains",
            where=datasets[0],
            value=list(first),
            hint="choose a dataset with domains",
        )
    return first


def _pick(
    chosen: tuple[str, ...] | str, known: Sequence[str], where: str, hint: str | None = None
) -> tuple[str, ...]:
    if isinstance(chosen, str):
        return tuple(known)
    if stray := next((name for name in chosen if name not in known), None):
        raise ConfigError(
            "setting names something unknown",
            where=where,
            value=stray,
            hint=hint or f"known: {', '.join(known)}",
        )
    return chosen


def _without(names: Sequence[str], name: str) -> tuple[str, ...]:
    return tuple(n for n in names if n != name)
