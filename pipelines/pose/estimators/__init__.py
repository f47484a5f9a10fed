"""From a picture to a Pose: four estimators behind one interface (``estimate.py``)."""
