"""The little task that the trainer's tests train, and runs of it in processes of their own."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
