"""Domains and what turns them into batches. A file dropped in here registers itself."""

from cycada.core.registry import import_folder
from cycada.data.class_mix import half_of_classes
from cycada.data.crops import Crops, Cut, crop_loader
from cycada.data.domain import Domain, Examples, Split, domains
from cycada.data.fitted import Fitted, SceneStream, fit_logits, fit_mask
from cycada.data.loaders import Augment, Stream, to_bytes, to_float
from cycada.data.photometric import photometric
from cycada.data.scenes import SceneDomain, Scenes, scene_domains
from cycada.data.transforms import convert, mask_patches
from cycada.data.translated import Doubled, Translated

import_folder(__name__, list(__path__))

__all__ = [
    "Augment", "Crops", "Cut", "Domain", "Doubled", "Examples", "Fitted", "SceneDomain", "SceneStream", "Scenes", "Split", "Stream",
    "Translated", "convert", "crop_loader", "domains", "fit_logits", "fit_mask", "half_of_classes", "mask_patches", "photometric",
    "scene_domains", "to_bytes", "to_float",
]  # fmt: skip
