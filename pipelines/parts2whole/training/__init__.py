"""Parts2Whole's training: both UNets, the pose guider and the attention over image tokens together."""
