"""CosmicMan: dense-prompt text-to-image for people, on SD1.5 and SDXL."""
