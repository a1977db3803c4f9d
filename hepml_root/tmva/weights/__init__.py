"""Weight files of TMVA: read, written, and turned into ONNX; a module for each kind of weights."""
