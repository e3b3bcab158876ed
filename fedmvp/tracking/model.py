"""A trained method as an MLflow model: models-from-code, safetensors inside, nothing pickled.

`log_model` writes a bundle (`fedmvp.prediction.bundle`) and a three-line script to the result's
run; MLflow starts the script where the model is served. The frozen backbone is not included: it is
found there by its name, and checked by its hash.
"""

from __future__ import annotations

import base64
import io
import tempfile
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fedmvp.devices import device_names
from fedmvp.errors import ConfigError, DataError, FedMVPError
from fedmvp.files import sha256_file, sha256_json
from fedmvp.results.files import RECORD
from fedmvp.results.record import read_record
from fedmvp.tracking.store import locked, open_client, tracking_uri
from fedmvp.tracking.sync import sync
from fedmvp.tracking.trouble import store_trouble
from fedmvp.tracking.upsert import find_run

if TYPE_CHECKING:
    from fedmvp.prediction.description import Bundle
    from fedmvp.prediction.limits import Gate
    from fedmvp.prediction.served import ServedModel

__all__ = ["LoggedModel", "log_model", "pyfunc_model"]

_DIGEST_TAG = "fedmvp.model"
_NAME = "model"
_SCRIPT = '''"""Serve a FedMVP model; the code is the installed package fedmvp."""

from mlflow.models import set_model

from fedmvp.tracking.model import pyfunc_model

set_model(pyfunc_model())
'''


@dataclass(frozen=True)
class LoggedModel:
    """Where a model is.

    Attributes
    ----------
    uri : str
        What `mlflow models serve -m` takes.
    version : str or None
        In the registry.
    """

    uri: str
    version: str | None = None


def log_model(
    root: Path,
    result: Path,
    *,
    store: str | None = None,
    fold: str | None = None,
    default_dataset: str | None = None,
    register: str | None = None,
    alias: str | None = None,
) -> LoggedModel:
    """Log the model of a result to the result's run; one that is there already is kept.

    Parameters
    ----------
    root : Path
        The repository's folder, and the working directory.
    result : Path
        ``results/<setting>/<method>/seed<k>``.
    register, alias : str, optional
        Name in the model registry, and alias of its version, e.g. ``champion``.

    Raises
    ------
    ConfigError
        When an alias is given without a name, or the store cannot be opened.
    CheckpointError, BackboneError
        When the result has no learned tensors, or the backbone stage has not run.
    """
    from fedmvp.prediction.bundle import write_bundle

    if alias is not None and register is None:
        raise ConfigError(
            "an alias needs a registered model",
            where="--alias",
            value=alias,
            hint="give --register NAME, too",
        )
    uri = tracking_uri(root, store)
    with tempfile.TemporaryDirectory(prefix="fedmvp-model-") as name:
        folder = Path(name)
        bundle = write_bundle(folder, result, fold=fold, default_dataset=default_dataset)
        digest = sha256_json({path.name: sha256_file(path) for path in sorted(folder.iterdir())})
        sync(root, store, folders=[result])
        with locked(root, store):
            client = open_client(uri)
            run = find_run(client, read_record(result / RECORD).fingerprint)
            if run is None:
                raise DataError(
                    "run is gone from the tracking store",
                    where=result,
                    hint="run `fedmvp track sync`, then this again",
                )
            with store_trouble(uri):  # functions of MLflow outside the client
                logged = _known(client, run, digest) or _log(
                    uri, run.info.run_id, folder, bundle, digest
                )
                if register is None:
                    return LoggedModel(logged)
                return _register(client, uri, logged, digest, register, alias)


def _known(client: Any, run: Any, digest: str) -> str | None:
    """Return the URI of the run's model with this content."""
    found = client.search_logged_models(
        [run.info.experiment_id], filter_string=f"tags.`{_DIGEST_TAG}` = '{digest}'"
    )
    mine = [model for model in found if model.source_run_id == run.info.run_id]
    return str(mine[0].model_uri) if mine else None


def _log(uri: str, run_id: str, folder: Path, bundle: Bundle, digest: str) -> str:
    import mlflow
    import PIL
    import safetensors
    import torch

    import fedmvp

    script = folder / "serve.py"
    script.write_text(_SCRIPT, encoding="utf-8")
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    with mlflow.start_run(run_id=run_id):
        info = mlflow.pyfunc.log_model(
            name=_NAME,
            python_model=str(script),
            artifacts={
                "description": str(folder / "model.json"),
                "weights": str(folder / "weights.safetensors"),
            },
            signature=_signature(bundle),
            input_example=_example(),
            pip_requirements=[
                f"fedmvp=={fedmvp.__version__}",
                f"mlflow=={mlflow.__version__}",
                f"numpy=={np.__version__}",
                f"pillow=={PIL.__version__}",
                f"safetensors=={safetensors.__version__}",
                f"torch=={torch.__version__.split('+')[0]}",
            ],
            metadata={"backbone": bundle.backbone.model_dump(mode="json")},
            tags={_DIGEST_TAG: digest},
        )
    return str(info.model_uri)


def _signature(bundle: Bundle) -> Any:
    """Return the model's inputs (an image as base64 text or pixels, and a dataset) and outputs."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import AnyType, Array, Map

    return ModelSignature(
        inputs=Schema([ColSpec(AnyType(), "image")]),
        outputs=Schema(
            [
                ColSpec(DataType.string, "class"),
                ColSpec(DataType.double, "probability"),
                ColSpec(Map(DataType.double), "probabilities"),
                *(
                    [ColSpec(Array(DataType.string), "classes")]
                    if bundle.multilabel is not None
                    else []
                ),
            ]
        ),
        params=ParamSchema([ParamSpec("dataset", DataType.string, bundle.default)]),
    )


def _example() -> Any:
    """Return a request with one grey image, as base64."""
    import pandas
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (128, 128, 128)).save(buffer, format="PNG")
    return pandas.DataFrame({"image": [base64.b64encode(buffer.getvalue()).decode()]})


def _register(
    client: Any, uri: str, logged: str, digest: str, name: str, alias: str | None
) -> LoggedModel:
    """Register the model as a new version, unless it is registered already; set the alias."""
    import mlflow

    versions = client.search_model_versions(f"name = '{name}'")
    mine = [v.version for v in versions if v.tags.get(_DIGEST_TAG) == digest]
    if mine:
        version = str(mine[0])
    else:
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        made = mlflow.register_model(logged, name, tags={_DIGEST_TAG: digest})
        version = str(made.version)
    if alias is None:
        return LoggedModel(f"models:/{name}/{version}", version)
    client.set_registered_model_alias(name, alias, version)
    return LoggedModel(f"models:/{name}@{alias}", version)


def pyfunc_model() -> Any:
    """Return the model object MLflow loads and calls; made here because it needs MLflow's base."""
    from mlflow.pyfunc import PythonModel

    # MLflow would infer a signature from type hints of `predict`; here it is given.
    class FedMVPModel(PythonModel):  # type: ignore[misc]
        """Classifies the images of column ``image``."""

        served: ServedModel
        gate: Gate

        def load_context(self, context: Any) -> None:
            from fedmvp.prediction.limits import Gate, Limits
            from fedmvp.prediction.served import open_served

            folder = Path(context.artifacts["description"]).parent
            self.gate = Gate(Limits.from_environment())
            self.served = open_served(folder, device=device_names()[0])
            self.served.prepare()

        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
            with _mlflow_errors(), self.gate.admitted() as budget, self.gate.working(budget):
                images = list(_each(model_input["image"]))
                budget.require_bytes(sum(len(i) for i in images if isinstance(i, str | bytes)))
                return self.served.predict(images, (params or {}).get("dataset"), budget)

    return FedMVPModel()


def _each(column: Iterable[Any]) -> Iterator[Any]:
    """Yield the images of a column; MLflow makes one cell of a list sent under ``inputs``."""
    for cell in column:
        several = isinstance(cell, list | tuple | np.ndarray) and len(cell) > 0
        yield from cell if several and isinstance(cell[0], str) else [cell]


@contextmanager
def _mlflow_errors() -> Iterator[None]:
    """Turn errors into MLflow's own, as MLflow sends the traceback of any other to the client."""
    from mlflow.exceptions import MlflowException
    from mlflow.protos import databricks_pb2 as codes

    from fedmvp.prediction.limits import Busy, TooSlow

    try:
        yield
    except Busy as error:
        raise MlflowException(str(error), codes.REQUEST_LIMIT_EXCEEDED) from None
    except TooSlow as error:
        raise MlflowException(str(error), codes.TEMPORARILY_UNAVAILABLE) from None
    except FedMVPError as error:
        raise MlflowException(str(error), codes.INVALID_PARAMETER_VALUE) from None
    except Exception as error:
        traceback.print_exc()  # for the server's log
        raise MlflowException(
            f"internal error ({type(error).__name__}); hint: the server's log says more",
            codes.INTERNAL_ERROR,
        ) from None
