"""Image quality of translations: FCN score, FID, KID, structure distance, diversity, and their table."""
