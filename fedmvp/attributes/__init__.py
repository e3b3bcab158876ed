"""Class attributes: visual descriptions of classes by a language model, validated and recorded.

`generate` fills, `schema` validates, `store` records, `sentences` turns attributes into the texts
CLIP reads (docs/method.md#sentences). Nothing here imports torch except the local-model provider.
"""
