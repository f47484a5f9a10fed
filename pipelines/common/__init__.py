"""The ground every system stands on: images, masks, seeds, weights, errors, progress."""
