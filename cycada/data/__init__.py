"""Domains, their images and labels, and the streams of batches that training draws from them.

Every module in this folder and below is imported with it, so a new file with a domain registers itself.
"""

from cycada.core.registry import import_folder
from cycada.data.augment import Augment, mask_patches
from cycada.data.class_mix import classmix_mask
from cycada.data.convert import convert, to_bytes, to_float
from cycada.data.crops import Crops
from cycada.data.domain import Domain, Split, domains
from cycada.data.fitted import ResizedDataset
from cycada.data.image_files import ImageFiles
from cycada.data.image_set import BatchStream, ImageSet, Sample, SampleBatch, StreamSettings
from cycada.data.labelled_images import ImageDataset
from cycada.data.loaders import LoaderStream, Stream, sample_loader
from cycada.data.photometric import photometric
from cycada.data.resize import resize_images, resize_logits, resize_mask
from cycada.data.segmentation import (
    SegmentationDataset,
    SegmentationDomain,
    domain_title,
    segmentation_domains,
)

import_folder(__name__, list(__path__))

__all__ = [
    "Augment",
    "BatchStream",
    "Crops",
    "Domain",
    "ImageDataset",
    "ImageFiles",
    "ImageSet",
    "LoaderStream",
    "ResizedDataset",
    "Sample",
    "SampleBatch",
    "SegmentationDataset",
    "SegmentationDomain",
    "Split",
    "Stream",
    "StreamSettings",
    "classmix_mask",
    "convert",
    "domain_title",
    "domains",
    "mask_patches",
    "photometric",
    "resize_images",
    "resize_logits",
    "resize_mask",
    "sample_loader",
    "segmentation_domains",
    "to_bytes",
    "to_float",
]
