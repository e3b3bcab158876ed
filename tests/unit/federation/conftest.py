"""The data of the toy runs' clients."""

from __future__ import annotations

import pytest

from fedmvp.methods.classes import TextBank
from tests.toys import toy_client
from tests.unit.federation.toy_rounds import CLIENTS, Load


@pytest.fixture(scope="module")
def load(bank: TextBank) -> Load:
    data = {
        client: toy_client(bank, names, per_class=1, seed=i)
        for i, (client, names) in enumerate(CLIENTS.items())
    }
    return data.__getitem__
