"""Training data: images, degradations, encoded clips, batches."""
