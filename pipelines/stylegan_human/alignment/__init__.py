"""From a photo to the upright person on white that the networks know, and back into the photo."""
