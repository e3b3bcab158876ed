"""The files of a run in ``results/<setting>/<method>/seed<k>/``: their columns and readers.

| file | written by | here |
|---|---|---|
| run.json | train, zero_shot | `record` |
| rounds.csv, failures.json | train | `rounds` |
| weights.safetensors | train | `weights`, `learned` |
| targets.csv | evaluate, zero_shot | `targets` |
| predictions.csv | evaluate, zero_shot | `predictions` |
| metrics.json | evaluate, zero_shot | `record` |
| explain.json, prompts.safetensors | evaluate | `explained` |
"""
