"""The ruler of the mannequin world: reads colours, kinds, pose and parts back from a picture of one figure.

``reading.load_reader()`` opens the shipped networks; ``Reader.read`` measures, ``Reader.features`` gives the
hidden units that Fréchet distances are taken on. ``scores`` compares readings with truth or with captions.
"""
