"""``fedmvp run``: the stages of `dvc repro`, as many at once as there are places for them.

Graph (what has to run according to DVC) → plan (what comes next) → execution (a loop that hands
stages to places and collects their outcomes) → table (what the user sees meanwhile). DVC itself
runs each stage.
"""
