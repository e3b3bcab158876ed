"""The shipped profiles: complete params.yaml files, one YAML each.

``fedmvp profile use NAME`` copies one over params.yaml; nothing in the code asks which is in use.
"""
