"""Domains, their images and labels, and the streams of batches that training draws from them.

Every module in this folder and below is imported with it, so a new file with a domain registers itself.
"""

from cycada.core.registry import import_folder
from cycada.data.class_mix import classmix_mask
from cycada.data.crops import CropBatch, Crops, crop_loader
from cycada.data.domain import Domain, ImageDataset, Split, domains
from cycada.data.fitted import ResizedDataset, SceneStream
from cycada.data.loaders import Augment, Stream, to_bytes, to_float
from cycada.data.photometric import photometric
from cycada.data.resize import resize_images, resize_logits, resize_mask
from cycada.data.scenes import SceneDomain, SegmentationDataset, domain_title, scene_domains
from cycada.data.transforms import convert, mask_patches
from cycada.data.translated import PairedDataset, Translated

import_folder(__name__, list(__path__))

__all__ = [
    "Augment",
    "CropBatch",
    "Crops",
    "Domain",
    "ImageDataset",
    "PairedDataset",
    "ResizedDataset",
    "SceneDomain",
    "SceneStream",
    "SegmentationDataset",
    "Split",
    "Stream",
    "Translated",
    "classmix_mask",
    "convert",
    "crop_loader",
    "domain_title",
    "domains",
    "mask_patches",
    "photometric",
    "resize_images",
    "resize_logits",
    "resize_mask",
    "scene_domains",
    "to_bytes",
    "to_float",
]
