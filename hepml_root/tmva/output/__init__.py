"""What a Factory writes and prints: the output file in TMVA's layout, tables, ROC curves."""
