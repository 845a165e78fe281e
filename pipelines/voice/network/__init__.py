"""The network of the style ``strong``: `make train-voice` trains it, apart from the pipeline and alone with PyTorch."""
