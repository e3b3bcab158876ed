"""The texts a run was prompted with, as artifacts and as versioned prompts of the registry.

Learned prompts are tensors, which the registry cannot store; they are safetensors artifacts.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from fedmvp.attributes.class_attributes import ClassAttributes, load_attributes
from fedmvp.attributes.sentences import class_sentences
from fedmvp.attributes.templating import load_template, template_names
from fedmvp.catalog.spec import DatasetSpec, load_spec
from fedmvp.files import sha256_file
from fedmvp.paths import ATTRIBUTES

__all__ = ["described_datasets", "prompt_artifacts", "register_prompts", "registry_texts"]


def described_datasets(root: Path, inputs: Mapping[str, str]) -> list[ClassAttributes]:
    """Return the attributes a run read, by dataset; those rebuilt differently since are left out.

    Parameters
    ----------
    inputs : mapping of path to sha256
        As in run.json.
    """
    paths = [
        key for key in sorted(inputs) if PurePosixPath(key).parent == PurePosixPath(ATTRIBUTES)
    ]
    return [
        load_attributes(root / path)
        for path in paths
        if (root / path).is_file() and sha256_file(root / path) == inputs[path]
    ]


def prompt_artifacts(
    described: Iterable[ClassAttributes],
    per_class: int,
    spec_of: Callable[[str], DatasetSpec] = load_spec,
) -> dict[str, bytes]:
    """Return artifact path to content: attributes, templates, rendered questions and sentences.

    Parameters
    ----------
    per_class : int
        Attributes the questions ask for, of the run's params.
    spec_of : callable
        Gives a dataset's catalog entry.
    """
    artifacts: dict[str, bytes] = {}
    templates: dict[str, Any] = {}
    for attributes in described:
        name = attributes.dataset
        spec = spec_of(name)
        templates[name] = _templates(spec, attributes)
        artifacts[f"prompts/attributes/{name}.json"] = _json(dict(attributes.classes))
        artifacts[f"prompts/sentences/{name}.json"] = _json(_sentences(spec, attributes))
        if attributes.template in template_names():
            questions = _questions(spec, attributes, per_class)
            artifacts[f"prompts/questions/{name}.json"] = _json(questions)
    if templates:
        artifacts["prompts/templates.json"] = _json(templates)
    return artifacts


def _templates(spec: DatasetSpec, attributes: ClassAttributes) -> dict[str, Any]:
    return {
        "hand": spec.template,
        "sentence": spec.sentence.model_dump(),
        "question": {"name": attributes.template, "text": _question(attributes.template)},
        "answered_by": {"provider": attributes.provider, "model": attributes.model},
    }


def _questions(spec: DatasetSpec, attributes: ClassAttributes, per_class: int) -> dict[str, str]:
    """Return the question about each class, word for word as it is put to a model."""
    template = load_template(attributes.template)
    return {
        name: template.render(name, context=spec.title, count=per_class)
        for name in attributes.classes
    }


def _question(name: str) -> str | None:
    return load_template(name).text if name in template_names() else None


def _sentences(spec: DatasetSpec, attributes: ClassAttributes) -> dict[str, dict[str, list[str]]]:
    """Return sentences by domain (``""`` for all without their own parts) and class."""
    parts = {domain: spec.sentence_parts(domain) for domain in ("", *spec.sentence.domains)}
    return {
        domain: class_sentences(attributes.classes, prefix=part.prefix, suffix=part.suffix)
        for domain, part in parts.items()
    }


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def registry_texts(
    described: Iterable[ClassAttributes],
    per_class: int,
    spec_of: Callable[[str], DatasetSpec] = load_spec,
) -> dict[str, str]:
    """Return prompt name to template with ``{{variables}}``, as the registry keeps them.

    A question is there twice: as its template, and for each dataset with all but the class filled
    in. Versions for each class would be a thousand for ImageNet; those are artifacts.
    """
    texts: dict[str, str] = {}
    for attributes in described:
        spec = spec_of(attributes.dataset)
        texts[f"fedmvp.hand.{spec.name}"] = spec.template.replace("{}", "{{class}}")
        for domain in ("", *spec.sentence.domains):
            parts = spec.sentence_parts(domain)
            kind = parts.suffix.strip().rstrip(",").rstrip()
            pieces = [f"{parts.prefix} {{{{class}}}}", *([kind] if kind else []), "{{clause}}"]
            texts[".".join(filter(None, ("fedmvp.sentence", spec.name, domain)))] = ", ".join(
                pieces
            )
        question = _question(attributes.template)
        if question is not None:
            name = f"fedmvp.question.{attributes.template}"
            texts[name] = question
            filled = load_template(attributes.template).render(
                "{{class}}", context=spec.title, count=per_class
            )
            texts[f"{name}.{spec.name}"] = filled
    return texts


def register_prompts(client: Any, texts: Mapping[str, str]) -> list[str]:
    """Register the texts that differ from their newest version; return their names."""
    changed = []
    for name, text in sorted(texts.items()):
        # A cached version would make a text registered twice within one process.
        newest = client.load_prompt(
            f"prompts:/{name}@latest", allow_missing=True, cache_ttl_seconds=0
        )
        if newest is None or newest.template != text:
            client.register_prompt(name, text)
            changed.append(name)
    _wait_for_links()
    return changed


def _wait_for_links() -> None:
    """Wait for MLflow's threads that link new prompts to the process's experiment, if it has one.

    They write to the store, and the caller releases its lock soon.
    """
    for thread in threading.enumerate():
        if thread.name.startswith("link_prompt_to_experiment"):
            thread.join()
