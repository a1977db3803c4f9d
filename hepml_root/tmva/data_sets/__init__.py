"""Events: what a DataLoader is given, and the training and test samples that come of it."""
