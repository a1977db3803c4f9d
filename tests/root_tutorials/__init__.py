"""ROOT's own tutorials of machine learning, unmodified, run with what this package provides of TMVA."""
