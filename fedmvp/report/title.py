"""The page's default heading, which names the data."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["heading"]

_NAMED = 3


def heading(datasets: Sequence[str], *, cameras: bool) -> str:
    """Return the heading.

    Parameters
    ----------
    datasets : sequence of str
        Titles of the datasets.
    cameras : bool
        Whether each site sees its images through its own camera.

    Examples
    --------
    >>> heading(["garden birds"], cameras=False)
    'FedMVP on garden birds'
    >>> heading(["pets", "cars"], cameras=False)
    'FedMVP on pets and cars'
    >>> heading(["Emoji food: food drink"], cameras=True)
    'FedMVP where each site has its own camera'
    """
    if cameras:
        return "FedMVP where each site has its own camera"
    if len(datasets) > _NAMED:
        return f"FedMVP on {len(datasets)} datasets"
    *others, last = datasets
    return f"FedMVP on {', '.join(others)} and {last}" if others else f"FedMVP on {last}"
