"""Parts2Whole: one person composed from reference parts, on SD1.5."""
