"""Poses: keypoints, their conventions and files; drawing, changing and estimating them. Ground, as common."""
