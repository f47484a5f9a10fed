"""The verbs of ``figura stylegan``, by topic; ``commands.py`` above lists them. No torch when imported."""
