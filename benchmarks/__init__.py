"""Speed, measured beside the alternatives: `python -m benchmarks feed`, `train`, `inference`."""
