"""FID, LPIPS diversity, FCN score and other measures of translated images."""
