"""An exported network as a model of MLflow: what `mlflow models serve` and `mlflow.pyfunc.load_model` load.

MLflow calls `_load_pyfunc` with the folder of the export, so that nothing is pickled and this file needs no
MLflow; `signature_of` alone imports it.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from cycada.tracking.tracker import TrackedModel


class ServedModel:
    """A network that reads and answers arrays.

    Args:
        model: What `cycada.load_model` returns.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> Any:
        """Predict the classes of pictures, or translate them.

        Args:
            model_input: (N, H, W, C) uint8.
            params: Not used.

        Returns:
            Of a classifier a table with `label` and `probability`; of a segmenter the class of each pixel,
            (N, H, W) uint8; of a generator translations, (N, h, w, C) uint8.
        """
        images = list(np.asarray(model_input, dtype=np.uint8))
        answers = self.model.predict(images)
        if hasattr(answers[0], "label"):
            import pandas as pd

            return pd.DataFrame(
                {"label": [a.label for a in answers], "probability": [a.probability for a in answers]}
            )
        return np.stack([getattr(answer, "mask", answer) for answer in answers])


def _load_pyfunc(path: str) -> ServedModel:
    """Load the model from the folder of an export; MLflow asks for this name."""
    loading = import_module("cycada.inference.loading")  # above this package, but asked for by MLflow alone
    return ServedModel(loading.load_model(Path(path), device="auto"))


def signature_of(model: TrackedModel) -> Any:
    """Return MLflow's signature of a model."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, Schema, TensorSpec

    images = TensorSpec(np.dtype(np.uint8), (-1, -1, -1, model.channels))
    answers: dict[str, list[Any]] = {
        "classifier": [ColSpec("string", "label"), ColSpec("double", "probability")],
        "segmenter": [TensorSpec(np.dtype(np.uint8), (-1, -1, -1))],
        "generator": [images],
    }
    return ModelSignature(Schema([images]), Schema(answers[model.kind]))


def save_model(model: TrackedModel, folder: Path, run_id: str, model_id: str) -> None:
    """Write a model as MLflow reads it, with this package's code beside it.

    Args:
        model: The exported network.
        folder: The folder to write, which must not exist.
        run_id: MLflow's id of the run that it comes from.
        model_id: MLflow's id of the model.
    """
    from importlib.metadata import version

    from mlflow.models import Model
    from mlflow.pyfunc import save_model as save_pyfunc

    needed = ("torch", "torchvision", "timm", "numpy", "scipy", "pillow", "pydantic", "pyyaml", "safetensors")
    more = ("filelock", "huggingface_hub", "scikit-learn", "pandas", "mlflow")
    save_pyfunc(
        path=str(folder),
        loader_module=__name__,
        data_path=str(model.folder),
        code_paths=[str(Path(__file__).parents[1])],
        mlflow_model=Model(run_id=run_id, model_id=model_id),
        signature=signature_of(model),
        input_example=np.zeros((1, *model.size, model.channels), np.uint8),
        pip_requirements=[f"{name}=={version(name)}" for name in (*needed, *more)],
        metadata={"classes": list(model.classes), "kind": model.kind},
    )
