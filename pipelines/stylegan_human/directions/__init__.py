"""Where edits come from: direction files, fits to an attribute (labels, code, texts), single channels."""
