"""Domains and what turns them into batches. A file dropped in here registers itself."""

from cycada.data.domain import Domain, Examples, Split, domains
from cycada.data.loaders import Augment, Stream, to_float
from cycada.data.transforms import convert, mask_patches
from cycada.registry import import_folder

import_folder(__name__, list(__path__))

__all__ = ["Augment", "Domain", "Examples", "Split", "Stream", "convert", "domains", "mask_patches", "to_float"]
