"""TMVA's options: what each of them is, declared once, and how option strings are read."""
