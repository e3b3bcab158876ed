"""A causal language model of the transformers library, on this machine.

The only module of the attribute layer that imports torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from fedmvp.attributes.config import AttributeParams
from fedmvp.attributes.providers.base import Ask, Provider, ProviderUnusable, Usage
from fedmvp.attributes.providers.dialogue import Completion, DialogueProvider, Message
from fedmvp.devices import device_names

__all__ = ["LocalChat", "local_provider"]


def local_provider(params: AttributeParams) -> Provider:
    """Load the model named by ``attributes.model``; device from ``FEDMVP_DEVICE``.

    Raises
    ------
    ProviderUnusable
        When ``transformers`` is not installed or the model cannot be loaded.
    """
    chat = LocalChat(
        params.model,
        temperature=params.temperature,
        max_tokens=params.max_tokens,
        device=device_names()[0],
    )
    return DialogueProvider(chat, attempts=params.attempts)


class LocalChat:
    """A local causal language model; asked by one thread at a time.

    Parameters
    ----------
    model : str
        Folder, or name on the Hugging Face hub.
    temperature : float
        0 decodes greedily; above, a generator seeded by the question samples.
    max_tokens : int
        Longest answer.
    device : str
        A torch device.
    """

    def __init__(self, model: str, *, temperature: float, max_tokens: int, device: str) -> None:
        reason = ""
        try:
            transformers: Any = importlib.import_module("transformers")
            self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(model)
            self._model: Any = transformers.AutoModelForCausalLM.from_pretrained(model)
            self._model.to(device).eval()
        except ImportError:
            reason = "the package transformers is not installed"
        # Every kind of broken folder, hub name or device ends here; the library raises many types.
        except Exception as error:
            reason = f"the model cannot be loaded ({type(error).__name__}: {error})"
        if reason:
            raise ProviderUnusable(
                reason,
                where="attributes.model",
                value=model,
                hint="install it with `uv pip install transformers`, and give a folder or a hub "
                "name of a causal language model",
            )
        self._temperature = temperature
        self._max_tokens = max_tokens

    def complete(self, messages: Sequence[Message], ask: Ask) -> Completion:
        """Return the model's next turn."""
        import torch

        inputs = self._encode(messages).to(self._model.device)
        length = inputs["input_ids"].shape[1]
        limit = getattr(self._model.config, "max_position_embeddings", None)
        room = self._max_tokens if limit is None else min(self._max_tokens, limit - length)
        if room < 1:
            return Completion("", Usage(calls=1), "the question fills the model's whole context")
        sampling: dict[str, Any] = {"do_sample": False}
        if self._temperature > 0:
            sampling = {"do_sample": True, "temperature": self._temperature}
        devices = [self._model.device] if self._model.device.type == "cuda" else []
        # Sampling draws from torch's global generator: seed a copy of it, and put the old back.
        with torch.random.fork_rng(devices=devices), torch.inference_mode():
            # The attempt is part of the seed: a second try must be able to differ.
            torch.manual_seed(int(ask.question.key[:12], 16) + len(messages))
            output = self._model.generate(
                **inputs,
                max_new_tokens=room,
                pad_token_id=self._tokenizer.pad_token_id or self._tokenizer.eos_token_id,
                **sampling,
            )
        answer = output[0, length:]
        text = self._tokenizer.decode(answer, skip_special_tokens=True)
        usage = Usage(calls=1, prompt_tokens=length, completion_tokens=len(answer))
        return Completion(text, usage)

    def cleaned(self, text: str) -> str:
        """Return the text: a local model has no secrets."""
        return text

    def _encode(self, messages: Sequence[Message]) -> Any:
        """Return token ids of the dialogue, in the model's chat form if it has one."""
        if self._tokenizer.chat_template:
            turns = [{"role": turn.role, "content": turn.content} for turn in messages]
            return self._tokenizer.apply_chat_template(
                turns, add_generation_prompt=True, return_tensors="pt", return_dict=True
            )
        text = "\n\n".join(turn.content for turn in messages) + "\n"
        return self._tokenizer(text, return_tensors="pt")
