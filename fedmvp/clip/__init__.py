"""The frozen CLIP model: specification, towers, import from open_clip, tokens, encoded texts."""
