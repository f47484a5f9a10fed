"""The demo: every system run on tiny models, and a contact sheet of what came out."""
