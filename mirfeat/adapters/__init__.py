"""Other libraries: scikit-learn, ONNX, data sets, each in a file of its own."""
