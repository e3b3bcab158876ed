"""Provider `transformers` with models built on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedmvp.attributes.config import AttributeParams
from fedmvp.attributes.generate import DatasetClasses, collect_attributes
from fedmvp.attributes.providers.base import ProviderUnusable
from fedmvp.attributes.store import AnswerStore
from fedmvp.errors import AttributeTextError

pytestmark = pytest.mark.slow

Params = Callable[..., AttributeParams]
ANSWER = '{"attributes": ["long beak", "grey neck", "thin legs"]}'
CONTEXT = 2048
ONE = DatasetClasses("things", "Things", ("heron",))


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def build(folder: Path, rig: Callable[[Any, Any], None] | None = None) -> str:
    """Save a tiny GPT-2 over single characters; return its folder."""
    import tokenizers
    import torch
    import transformers

    letters = [chr(code) for code in range(32, 127)]
    vocabulary = {token: place for place, token in enumerate(["<end>", "\n", *letters])}
    core = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<end>"))  # noqa: S106
    core.pre_tokenizer = tokenizers.pre_tokenizers.Split(tokenizers.Regex(r"[\s\S]"), "isolated")
    core.decoder = tokenizers.decoders.Fuse()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=core,
        **dict.fromkeys(("eos_token", "unk_token"), "<end>"),
    )
    config = transformers.GPT2Config(
        vocab_size=len(vocabulary),
        n_positions=CONTEXT,
        n_embd=128,
        n_layer=1,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
        tie_word_embeddings=False,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.GPT2LMHeadModel(config)
    if rig is not None:
        rig(model, tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def answering_at(length: int) -> Callable[[Any, Any], None]:
    """Let the position alone decide the next letter: after `length` letters comes ANSWER."""

    def rig(model: Any, tokenizer: Any) -> None:
        import torch

        with torch.no_grad():
            for block in model.transformer.h:
                block.attn.c_proj.weight.zero_()
                block.attn.c_proj.bias.zero_()
                block.mlp.c_proj.weight.zero_()
                block.mlp.c_proj.bias.zero_()
            model.transformer.wte.weight.zero_()
            model.transformer.wpe.weight.zero_()
            ids = tokenizer(ANSWER)["input_ids"] + [tokenizer.eos_token_id]
            for step, token in enumerate(ids):
                model.transformer.wpe.weight[length - 1 + step, token] = 10.0
            model.lm_head.weight.copy_(torch.eye(*model.lm_head.weight.shape))

    return rig


@pytest.fixture
def prompt_length(params: Params) -> int:
    from fedmvp.attributes.generate import asks_of

    return len(asks_of(ONE, params())[0].prompt) + 1


def test_a_model_that_answers(tmp_path: Path, params: Params, prompt_length: int) -> None:
    model = build(tmp_path / "model", answering_at(prompt_length))
    chosen = params(provider="transformers", model=model)
    found = collect_attributes(ONE, chosen, folder=tmp_path)
    assert found.classes["heron"] == ("long beak", "grey neck", "thin legs")
    (tmp_path / "model" / "config.json").unlink()
    assert collect_attributes(ONE, chosen, folder=tmp_path) == found


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_random_model_fails_the_same_way_twice(
    tmp_path: Path, params: Params, temperature: float
) -> None:
    import torch

    model = build(tmp_path / "model")
    chosen = params(
        provider="transformers", model=model, temperature=temperature, attempts=1, max_tokens=40
    )
    before = torch.random.get_rng_state()
    kept = []
    for _ in range(2):
        with pytest.raises(AttributeTextError, match="no valid answer after 1 attempts"):
            collect_attributes(ONE, chosen, folder=tmp_path)
        (path,) = Path(".fedmvp/attributes/rejected").iterdir()
        kept.append(path.read_bytes())
    assert kept[0] == kept[1]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not len(AnswerStore.of("things", tmp_path))


def test_a_full_context_is_a_bad_answer(tmp_path: Path, params: Params) -> None:
    model = build(tmp_path / "model")
    long = DatasetClasses("things", "T" * CONTEXT, ("heron",))
    with pytest.raises(AttributeTextError, match="fills the model's whole context"):
        collect_attributes(
            long, params(provider="transformers", model=model, attempts=1), folder=tmp_path
        )


def test_chat_templates_are_used(tmp_path: Path, params: Params, prompt_length: int) -> None:
    frame = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}>"

    def rig(model: Any, tokenizer: Any) -> None:
        tokenizer.chat_template = frame
        answering_at(prompt_length - 1 + len("<user>") + 1)(model, tokenizer)

    model = build(tmp_path / "model", rig)
    found = collect_attributes(ONE, params(provider="transformers", model=model), folder=tmp_path)
    assert len(found.classes["heron"]) == 3


@pytest.mark.parametrize("config", [None, "{", "{}", '{"model_type": "gpt2", "n_embd": "x"}'])
def test_models_that_cannot_be_loaded(tmp_path: Path, params: Params, config: str | None) -> None:
    # A folder, so that nothing looks for the name on the hub.
    folder = tmp_path / "model"
    folder.mkdir()
    if config is not None:
        (folder / "config.json").write_text(config)
    chosen = params(provider="transformers", model=str(folder))
    with pytest.raises(ProviderUnusable, match="cannot be loaded"):
        collect_attributes(ONE, chosen, folder=tmp_path)
