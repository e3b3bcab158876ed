"""``fedmvp run``: the stages of `dvc repro`, as many at once as there are places for them.

Graph (what DVC says is to do) → plan (what comes next) → execution (a loop that hands stages to
places and takes back how they ended) → table (what one sees meanwhile). DVC itself runs each stage.
"""
