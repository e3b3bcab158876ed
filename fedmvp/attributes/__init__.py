"""Class attributes: visual descriptions of classes by a language model, validated and recorded.

`generate` asks for them, `schema` validates them, `store` records them, and `sentences` turns them
into the texts that CLIP reads (docs/method.md#sentences). Only the local-model provider imports
torch.
"""
