"""Any released weight file as .safetensors, and what a file holds."""
