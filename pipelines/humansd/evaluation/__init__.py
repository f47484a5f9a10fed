"""How well pictures show the poses, the people and the prompts that were asked for (paper section 5.2)."""
